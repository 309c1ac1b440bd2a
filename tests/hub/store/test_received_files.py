import hashlib
import random
from contextlib import suppress
from io import BufferedRandom
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartbench.hub.errors import HubError, NoRoomError
from heartbench.hub.store import received_files
from heartbench.hub.store.disk_room import BLOCK_BYTES
from heartbench.hub.store.received_files import (
    FileProgress,
    FileReceiver,
    FileRefusedError,
    FilesUnavailableError,
)
from heartbench.mesh.v1.mesh_pb2 import FileChunk

CONTENT = bytes(random.Random(7).randbytes(1000))


def part(offset: int, size: int = 400, path: str = "logs/boot.txt", content: bytes = CONTENT) -> FileChunk:
    data = content[offset : offset + size]
    last = offset + size >= len(content)
    return FileChunk(
        path=path,
        offset=offset,
        data=data,
        crc32=crc32(data),
        last=last,
        sha256=hashlib.sha256(content).digest() if last else b"",
    )


def whole(path: str, content: bytes = CONTENT) -> FileChunk:
    return part(0, max(1, len(content)), path, content)


@pytest.fixture
def receiver(tmp_path: Path) -> FileReceiver:
    return FileReceiver(tmp_path / "files-of-nodes", max_file_bytes=2000, max_bytes=1 << 20)


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    return tmp_path / "files-of-nodes" / "files" / "edge"


def left_on_the_way(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files-of-nodes" / "incoming").rglob("*") if path.is_file()]


def test_a_file_appears_when_its_last_part_has_come(receiver: FileReceiver, arrived: Path, tmp_path: Path) -> None:
    assert receiver.receive("edge", part(0)) == FileProgress("logs/boot.txt", 400)
    assert receiver.receive("edge", part(400)) == FileProgress("logs/boot.txt", 800)
    assert not (arrived / "logs").exists()
    assert receiver.receive("edge", part(800)) == FileProgress("logs/boot.txt", 1000, complete=True)
    assert (arrived / "logs/boot.txt").read_bytes() == CONTENT
    assert left_on_the_way(tmp_path) == []


def test_an_empty_file_is_a_file(receiver: FileReceiver, arrived: Path) -> None:
    assert receiver.receive("edge", whole("empty", b"")).complete
    assert (arrived / "empty").read_bytes() == b""


def test_parts_that_come_again_do_no_harm(receiver: FileReceiver, arrived: Path) -> None:
    for offset in (0, 400, 400, 300, 0, 400, 800):
        progress = receiver.receive("edge", part(offset))
    assert progress.complete
    assert receiver.receive("edge", part(800)).complete  # its acknowledgement was lost
    assert (arrived / "logs/boot.txt").read_bytes() == CONTENT


def test_a_gap_is_answered_with_what_is_held(receiver: FileReceiver) -> None:
    receiver.receive("edge", part(0))
    assert receiver.receive("edge", part(800)) == FileProgress("logs/boot.txt", 400)
    assert receiver.receive("edge", part(900, path="other")) == FileProgress("other", 0)


def test_a_newer_file_takes_the_place_of_the_older(receiver: FileReceiver, arrived: Path) -> None:
    receiver.receive("edge", whole("status", b"a long first version"))
    receiver.receive("edge", whole("status", b"short"))
    assert (arrived / "status").read_bytes() == b"short"


def test_a_shorter_file_begun_anew_keeps_nothing_of_the_longer(receiver: FileReceiver, arrived: Path) -> None:
    receiver.receive("edge", part(0, 900))
    receiver.receive("edge", part(0, 100, content=CONTENT[:150]))
    assert receiver.receive("edge", part(100, 100, content=CONTENT[:150])).complete
    assert (arrived / "logs/boot.txt").read_bytes() == CONTENT[:150]


def test_a_damaged_part_is_refused_and_not_written(receiver: FileReceiver) -> None:
    receiver.receive("edge", part(0))
    good = part(400)
    with pytest.raises(FileRefusedError, match="is damaged"):
        receiver.receive("edge", FileChunk(path=good.path, offset=400, data=good.data, crc32=good.crc32 ^ 1))
    assert receiver.receive("edge", good).held_bytes == 800


def test_a_file_that_is_not_what_it_should_be_never_appears(
    receiver: FileReceiver, arrived: Path, tmp_path: Path
) -> None:
    receiver.receive("edge", part(0, content=bytes(1000)))
    receiver.receive("edge", part(400))
    with pytest.raises(FileRefusedError, match="sha256 of the whole file differs"):
        receiver.receive("edge", part(800))
    assert not arrived.exists()
    assert left_on_the_way(tmp_path) == []


def test_a_file_over_the_limit_is_refused(receiver: FileReceiver) -> None:
    with pytest.raises(FileRefusedError, match="the limit is 2000 bytes"):
        receiver.receive("edge", FileChunk(path="big", offset=1999, data=b"xx", crc32=crc32(b"xx")))


@pytest.mark.parametrize(
    "path", ["", "/", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "./a", "a/.", "a/", "a\0b", "x" * 1025]
)
def test_a_path_that_could_leave_its_folder_is_refused(receiver: FileReceiver, path: str) -> None:
    with pytest.raises(FileRefusedError, match="not a valid path"):
        receiver.receive("edge", whole(path))


def test_a_name_that_is_too_long_or_a_folder_is_refused(receiver: FileReceiver) -> None:
    receiver.receive("edge", whole("a/b"))
    for path in ("y" * 300, "a", "a/b/c"):
        with pytest.raises(FileRefusedError):
            receiver.receive("edge", whole(path))


def test_no_link_is_followed(receiver: FileReceiver, arrived: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("as it was")
    receiver.receive("edge", whole("here"))
    (arrived / "folder").symlink_to(outside)
    (arrived / "file").symlink_to(outside / "secret")
    with pytest.raises(FileRefusedError):
        receiver.receive("edge", whole("folder/planted"))
    assert receiver.receive("edge", whole("file")).complete  # the link is replaced, what it named is not touched
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "as it was"


def test_a_link_in_the_place_of_a_file_on_its_way_is_not_followed(receiver: FileReceiver, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("as it was")
    receiver.receive("edge", part(0))
    (incoming,) = left_on_the_way(tmp_path)
    incoming.unlink()
    incoming.symlink_to(tmp_path / "secret")
    with pytest.raises(FileRefusedError):
        receiver.receive("edge", part(0))
    assert (tmp_path / "secret").read_text() == "as it was"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.text(st.sampled_from("./a\\%\0~é"), max_size=9),
    st.text(st.sampled_from("./a\\%\0~é"), min_size=1, max_size=9),
)
def test_whatever_node_and_path_are_called_nothing_is_written_elsewhere(
    receiver: FileReceiver, tmp_path: Path, path: str, node_id: str
) -> None:
    try:
        complete = receiver.receive(node_id, whole(path, b"x")).complete
    except FileRefusedError:
        complete = False
    root = tmp_path / "files-of-nodes"
    assert list(tmp_path.iterdir()) == [root]
    assert {folder.name for folder in root.iterdir()} <= {"files", "incoming"}
    assert not [file for file in (root / "files").glob("*") if file.is_file()]
    assert complete is False or len(path) > 0


def test_nodes_do_not_share_files(receiver: FileReceiver, tmp_path: Path) -> None:
    for node_id in ("edge", "edge/1", "..", "%2E%2E"):
        receiver.receive(node_id, whole("name", node_id.encode()))
    written = sorted(path.read_bytes() for path in (tmp_path / "files-of-nodes" / "files").rglob("name"))
    assert written == sorted([b"edge", b"edge/1", b"..", b"%2E%2E"])


def test_a_disk_that_does_not_take_it_is_not_the_nodes_fault(
    receiver: FileReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FilesUnavailableError, match="No space left"):
        receiver.receive("edge", whole("a"))


def test_what_a_full_disk_did_not_take_is_not_counted(receiver: FileReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.receive("edge", part(0))
    counted = receiver.room.used_bytes

    def full(name: str, folder: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(received_files, "opened", full)
    for path in ("logs/boot.txt", "other"):
        with pytest.raises(FilesUnavailableError, match="No space left"):
            receiver.receive("edge", part(0, path=path, content=bytes(1900), size=1900))
    assert receiver.room.used_bytes == counted


def test_a_folder_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HubError, match="HUB_FILES_DIR="):
        FileReceiver(tmp_path / "file" / "below", 1, 1)


def test_all_files_together_have_a_limit(tmp_path: Path) -> None:
    receiver = FileReceiver(tmp_path, max_file_bytes=20_000, max_bytes=10 * BLOCK_BYTES)
    receiver.receive("edge", part(0, 9000, "a", bytes(9000)))  # three blocks, and four directories
    assert receiver.room.used_bytes == 7 * BLOCK_BYTES
    receiver.receive("edge", part(0, 9000, "b", bytes(20_000)))
    with pytest.raises(NoRoomError, match="HUB_FILES_BYTES"):
        receiver.receive("edge", part(9000, 9000, "b", bytes(20_000)))
    with pytest.raises(NoRoomError):
        receiver.receive("edge", whole("tiny", b"1"))
    assert receiver.receive("edge", part(0, 9000, "b", bytes(9000))).complete  # it was begun, and fits
    assert FileReceiver(tmp_path, 20_000, 1).room.used_bytes == receiver.room.used_bytes


def test_room_that_an_operator_makes_is_found(tmp_path: Path) -> None:
    receiver = FileReceiver(tmp_path, max_file_bytes=20_000, max_bytes=7 * BLOCK_BYTES)
    receiver.receive("edge", whole("a", bytes(9000)))
    (tmp_path / "files" / "edge" / "a").unlink()
    receiver.tidy(0.0)
    assert receiver.receive("edge", whole("b", bytes(9000))).complete


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b/c", "b"]), st.integers(0, 12_000), st.integers(0, 12_000)), max_size=12)
)
def test_what_is_counted_is_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[str, int, int]]
) -> None:
    root = tmp_path_factory.mktemp("files")
    receiver = FileReceiver(root, max_file_bytes=20_000, max_bytes=1 << 20)
    for path, offset, size in sent:
        with suppress(HubError):
            receiver.receive("edge", part(offset, size, path, bytes(12_000)))
    counted = receiver.room.used_bytes
    receiver.room.measure()
    assert receiver.room.used_bytes == counted


def test_unfinished_files_go_with_their_node_and_in_time(receiver: FileReceiver, arrived: Path, tmp_path: Path) -> None:
    receiver.receive("edge", whole("done"))
    for node_id in ("edge", "other"):
        receiver.receive(node_id, part(0))
    receiver.forget("edge")
    (left,) = left_on_the_way(tmp_path)
    assert left.parent.name == "other"
    receiver.tidy(left.stat().st_mtime - 1)
    assert receiver.receive("other", part(400)).held_bytes == 800
    receiver.tidy(left.stat().st_mtime + 1)
    assert left_on_the_way(tmp_path) == []
    assert (arrived / "done").exists()
    receiver.forget("nobody")


def test_a_last_part_that_comes_again_reads_nothing(
    receiver: FileReceiver, arrived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def digest_of(file: BufferedRandom) -> bytes:
        read.append(file)
        return original(file)

    original = received_files.digest_of
    monkeypatch.setattr(received_files, "digest_of", digest_of)
    for offset in (0, 400, 800, 800, 800):
        progress = receiver.receive("edge", part(offset))
    assert (progress.complete, len(read)) == (True, 1)
    wrong = part(800)
    wrong.sha256 = bytes(32)
    assert not receiver.receive("edge", wrong).complete
    assert len(read) == 1
    (arrived / "logs/boot.txt").write_bytes(b"changed by an operator")
    assert not receiver.receive("edge", part(800)).complete


def test_a_node_with_a_long_name_has_a_folder_of_its_own(receiver: FileReceiver, tmp_path: Path) -> None:
    for name in ("節" * 85, "節" * 84 + "点"):
        assert receiver.receive(name, whole("a", name.encode())).complete
    written = {path.read_text() for path in (tmp_path / "files-of-nodes" / "files").rglob("a")}
    assert written == {"節" * 85, "節" * 84 + "点"}
