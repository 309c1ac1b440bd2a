"""The record of HUB_TRACE_DIR: as complete as the observer's file, bounded, and readable however the hub ended."""

import json
import os
import subprocess
import sys
import time
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from heartbench.hub import HubError, HubSettings
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.events import recorder, trace_directory
from heartbench.hub.events.recorder import Recorder
from heartbench.hub.events.trace_directory import check_trace_dir, claim, files_of, pieces_of
from heartbench.hub.events.trace_journal import Piece, Source, read_journal
from heartbench.hub.events.trace_parquet import main as convert_all
from heartbench.hub.events.trace_parquet import read_piece
from heartbench.hub.liveness.node import Hello
from heartbench.mesh.channel import open_channel
from heartbench.mesh.encoding import heartbeat, hello
from heartbench.mesh.kinds import KINDS, Kind
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

BEGINS = Piece(1_700_000_000.0, 0, 1, 30.0, from_s=100.0, to_s=100.0, offset_s=1_699_999_900.0)
Row = tuple[str, int, int, int, int, float, float | None]


@pytest.fixture(autouse=True)
def _convert_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversion of its own process would run beside the test."""
    idle = [sys.executable, "-c", ""]
    monkeypatch.setattr(
        trace_directory,
        "start_converter",
        lambda _: subprocess.Popen(idle, stderr=subprocess.PIPE, text=True),
    )


def rows_of(directory: Path) -> list[Row]:
    """Return all messages, in the order of `node, arrived`, with times in s."""
    rows: list[Row] = []
    for path in pieces_of(directory):
        piece = read_piece(path)
        for row in piece.messages.to_pylist() if piece else ():
            sent_s = row["sent"] and row["sent"].timestamp()
            numbers = row["boot"], row["connection"], row["kind"], row["seq"]
            rows.append((row["node"], *numbers, row["arrived"].timestamp(), sent_s))
    return sorted(rows, key=lambda row: (row[0], row[5]))


def a_recorded_hub(directory: Path) -> None:
    """Two nodes that say hello, beat, upload and leave; one of them reconnects; the hub is paused once."""
    clock = ManualClock(1000.0)
    hub = open_hub(HubSettings.of(observe_file=directory / "observed", trace_dir=directory), clock, seed=1)
    assert hub.recorder is not None
    streams = {}
    for name in ("é-1", "n-2"):
        streams[name], _ = hub.hello(Hello(name, 3, 0), clock.now_s, clock.unix(clock.now_s))
    for beat in range(1, 6):
        clock.now_s += 0.25 if beat != 3 else 20.0
        hub.tick(clock.now_s)
        for stream in streams.values():
            assert stream is not None
            hub.heartbeat(stream, clock.now_s, beat, clock.unix(clock.now_s) - 0.125 if beat != 2 else 0.0)
        hub.recorder.flush(clock.now_s, clock.unix(clock.now_s))
    hub.hello(Hello("n-2", 3, 1), clock.now_s + 0.1)
    hub.sign_of_life("n-2", 3, clock.now_s + 0.2, 7)
    assert streams["é-1"] is not None
    hub.goodbye(streams["é-1"], clock.now_s + 0.3)
    hub.end(clock.now_s + 0.4)


def test_every_message_that_the_observer_records_is_there(tmp_path: Path) -> None:
    a_recorded_hub(tmp_path)
    expected: list[Row] = []
    for line in (tmp_path / "observed").read_text().splitlines():
        name, *values = json.loads(line)
        if name == "receipt":
            at_s, node, boot, connection, kind, seq, sent_s = values
            expected.append((node, boot, connection, KINDS[kind], seq, at_s + 1_700_000_000.0, sent_s or None))
    assert rows_of(tmp_path) == sorted(expected, key=lambda row: (row[0], row[5]))
    assert len(expected) == 15

    convert_all(tmp_path)
    assert [path.suffix for path in files_of(tmp_path)] == [".parquet"]
    assert rows_of(tmp_path) == sorted(expected, key=lambda row: (row[0], row[5]))


def test_a_piece_knows_when_the_hub_ran(tmp_path: Path) -> None:
    a_recorded_hub(tmp_path)
    for _ in range(2):  # as a journal, and as Parquet
        (path,) = pieces_of(tmp_path)
        found = read_piece(path)
        assert found is not None
        assert (found.piece.from_s, found.piece.to_s, found.piece.ended) == (1000.0, 1021.4, True)
        assert [(round(from_s, 6), to_s) for from_s, to_s in found.piece.pauses] == [(1000.6, 1020.5)]
        convert_all(tmp_path)


def test_a_journal_that_is_cut_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    a_recorded_hub(tmp_path)
    (path,) = pieces_of(tmp_path)
    whole, counts = path.read_bytes(), []
    for size in range(0, len(whole), 9):
        path.write_bytes(whole[:size])
        journal = read_journal(path)
        counts.append(len(journal.columns[0]) if journal else 0)
    assert counts == sorted(counts)
    assert set(counts) == {0, 4, 6, 8, 10, 12, 15}


@pytest.mark.parametrize("content", [b"PAR1 something else", b"\x00" * 50])
def test_another_file_is_not_taken_for_a_journal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1700000000000000-000000.journal"
    path.write_bytes(content)
    with pytest.raises(HubError, match="not a journal of HUB_TRACE_DIR"):
        read_journal(path)
    assert convert_all(tmp_path) == 1
    assert path.exists()


def test_a_journal_that_a_hub_writes_is_left_to_it(tmp_path: Path) -> None:
    file = trace_directory.create(path := tmp_path / "1700000000000000-000000.journal")
    with file:
        assert claim(path) is None
        assert convert_all(tmp_path) == 0
        assert path.exists()
    assert convert_all(tmp_path) == 0
    assert not path.exists()  # nothing was recorded in it


def beaten(record: Recorder, flushes: int, each: int) -> None:
    """Record heartbeats of one node, `each` per flush, and wait for the thread to have written each flush."""
    source = Source("n", 1, 0, Kind.HEARTBEAT)
    for flush in range(flushes):
        at_s = 100.0 + flush
        for number in range(each):
            record.add((at_s + number / each, source, flush * each + number, 0.0))
        record.flush(at_s + 1, at_s + 1 + BEGINS.offset_s)
        while record._queue.qsize():  # the thread has its own pace
            time.sleep(0.001)
    record.end(100.0 + flushes)


def test_a_full_record_loses_its_oldest_part_and_nothing_else(tmp_path: Path) -> None:
    most_bytes = 1 << 20
    (tmp_path / "mine.parquet").write_bytes(bytes(most_bytes))  # another's file is not touched
    beaten(Recorder(tmp_path, most_bytes, BEGINS), flushes=60, each=1000)
    files = files_of(tmp_path)
    assert sum(path.stat().st_size for path in files) < most_bytes
    seqs = [row[4] for row in rows_of(tmp_path)]
    assert seqs == list(range(60_000 - len(seqs), 60_000))
    assert len(seqs) > 25_000
    assert (tmp_path / "mine.parquet").exists()


def test_a_full_disk_ends_the_record_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_directory, "create", lambda _: FileIO("/dev/full", "wb"))
    with capture_logs() as logs:
        record = Recorder(tmp_path, 1 << 20, BEGINS)
        beaten(record, flushes=3, each=10)
    assert [line["reason"] for line in logs if line["log_level"] == "error"] == ["No space left on device"]
    assert record.lost == 30


def test_a_disk_that_does_not_answer_ends_the_record_and_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING", 0)
    record = Recorder(tmp_path, 1 << 20, BEGINS)
    monkeypatch.setattr(recorder, "END_S", 0.0)
    beaten(record, flushes=3, each=10)
    assert record.lost == 30


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("a file/below", "Not a directory"), ("a/b", "No such file"), ("a file", "File exists")],
)
def test_a_directory_that_cannot_be_used_is_an_error_of_the_start(tmp_path: Path, wrong: str, said: str) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(HubError, match=rf"HUB_TRACE_DIR='.*{wrong}' cannot be written: {said}"):
        check_trace_dir(tmp_path / wrong)


def test_a_hub_without_pyarrow_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_directory, "find_spec", lambda _: None)
    with pytest.raises(HubError, match=r"HUB_TRACE_DIR=.* needs pyarrow: pip install .*\[trace\]"):
        check_trace_dir(tmp_path)


def start(directory: Path) -> "tuple[subprocess.Popen[str], str]":
    settings = {"HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": "memory:", "HUB_TRACE_DIR": str(directory)}
    hub = subprocess.Popen(
        [sys.executable, "-m", "heartbench.hub", "--json"],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert hub.stdout is not None
    return hub, json.loads(hub.stdout.readline())["address"]


def sent_until_killed(hub: "subprocess.Popen[str]", address: str, lasts_s: float) -> tuple[list[float], float]:
    """Beat 100 times a second at a hub and kill it; return when each heartbeat was sent, and when it was killed."""
    sent_s: list[float] = []
    ends_s = time.time() + lasts_s

    def messages() -> Any:
        yield hello("n")
        while time.time() < ends_s:
            time.sleep(0.01)
            sent_s.append(time.time())
            yield heartbeat(len(sent_s), sent_unix_s=sent_s[-1])
        hub.kill()
        hub.wait()

    with open_channel(address) as channel, pytest.raises(Exception, match="UNAVAILABLE"):
        for _ in NodeMeshStub(channel).Connect(messages()):
            pass
    return sent_s, time.time()


@pytest.mark.slow
def test_a_killed_hub_loses_at_most_its_last_second(tmp_path: Path) -> None:
    hub, address = start(tmp_path)
    with hub:
        sent_s, killed_s = sent_until_killed(hub, address, 1.5)
    recorded = [row[4] for row in rows_of(tmp_path) if row[3] == Kind.HEARTBEAT]
    assert recorded == list(range(1, len(recorded) + 1))
    assert sent_s[len(recorded)] > killed_s - 1.0

    again, _ = start(tmp_path)  # which has converted what the first one left
    with again:
        while not any(path.suffix == ".parquet" for path in files_of(tmp_path)):
            time.sleep(0.05)
        again.terminate()
    assert [row[4] for row in rows_of(tmp_path) if row[3] == Kind.HEARTBEAT] == recorded
    assert [path.suffix for path in pieces_of(tmp_path)] == [".parquet", ".journal"]
