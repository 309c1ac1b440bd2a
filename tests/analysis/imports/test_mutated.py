"""Mutated logs: each is imported, or refused in one line with file and line number; nothing else is left."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.analysis.imports.fleet import WRITERS, Fleet, fleet, options_of

from heartbench.analysis import AnalysisError
from heartbench.analysis.imports import ImportRecord, import_log

MESSAGES = 60
WORDS = (b"NaN", b"", b"-1", b"1e999", b"null", b"{}", b"[]", b'"', b"\xff\xfe", b"\0", b"99999999999999999999",
         b"9" * 400, b"2023-02-30T00:00:00Z", b"0", b"true", b"\r", b"\xe2\x80\xa8")  # fmt: skip


@pytest.fixture(scope="module", params=WRITERS)
def log(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[Path], dict[str, Any]]:
    """Return a short log in a format."""
    whole = fleet()
    of_node = {name: own[: MESSAGES // 3] for name, own in list(whole.of_node.items())[:3]}
    short = Fleet(sorted(message for own in of_node.values() for message in own), of_node)
    paths, told = WRITERS[request.param](short, tmp_path_factory.mktemp("log"))
    kept = {key: value for key, value in told.items() if key == "marked_after_s"}
    return request.param, paths, kept


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a log with one to three things wrong."""
    for _ in range(rng.integers(1, 4)):
        content = MUTATIONS[rng.integers(len(MUTATIONS))](content, rng)
    return content


def bits_flipped(content: bytes, rng: np.random.Generator) -> bytes:
    found = bytearray(content)
    for place in rng.integers(0, max(len(found), 1), 3) if found else ():
        found[place] ^= 1 << int(rng.integers(8))
    return bytes(found)


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(0, len(content) + 1)]


def piece_left_out(content: bytes, rng: np.random.Generator) -> bytes:
    begin, end = sorted(rng.integers(0, len(content) + 1, 2).tolist())
    return content[:begin] + content[min(end, begin + 200) :]


def word_changed(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a field of a line, as far as the next comma, colon, quote or space."""
    begin = int(rng.integers(0, len(content) + 1))
    end = begin
    while end < len(content) and content[end] not in b',:" \n}':
        end += 1
    return content[:begin] + WORDS[rng.integers(len(WORDS))] + content[end:]


def line_shuffled(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    if lines:
        lines.insert(int(rng.integers(len(lines))), lines[rng.integers(len(lines))])
    return b"".join(lines)


def columns_swapped(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    for place in rng.integers(0, len(lines), 2) if lines else ():
        fields = lines[place].rstrip(b"\n").split(b",")
        lines[place] = b",".join(fields[::-1]) + b"\n"
    return b"".join(lines)


def bytes_instead(content: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(0, 200))) if rng.random() < 0.3 else content + rng.bytes(30)


MUTATIONS = (bits_flipped, cut, piece_left_out, word_changed, line_shuffled, columns_swapped, bytes_instead)


def test_mutated_logs(log: tuple[str, list[Path], dict[str, Any]], fuzz: int, tmp_path: Path) -> None:
    name, paths, told = log
    rng = np.random.default_rng(list(name.encode()))
    texts = [path.read_bytes() for path in paths]
    for example in range(-(-fuzz // 4)):
        wrong = int(rng.integers(len(paths)))
        files = [tmp_path / path.name for path in paths]
        for place, (file, text) in enumerate(zip(files, texts, strict=True)):
            file.write_bytes(mutated(text, rng) if place == wrong else text)
        format_ = name if example % 2 else None
        out = tmp_path / f"out-{example}"
        try:
            record = import_log(files, options_of({**told, "format": format_}, dead=False), out)
        except AnalysisError as error:
            assert_one_line(str(error), files)
            assert not out.exists()
        else:
            assert ImportRecord.read(out) == record
        assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


def assert_one_line(message: str, files: list[Path]) -> None:
    assert "\n" not in message
    assert message.isprintable(), message
    assert any(message.startswith(f"{file}:") and message[len(f"{file}:")].isdigit() for file in files), message
