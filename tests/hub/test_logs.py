"""Lines of the log: what they look like, and what happens when they cannot be written."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from heartbench.hub import logs
from heartbench.hub.log_writer import MAX_BYTES, LineWriter

HOSTILE = 'a\x1b[2J\r\n\u2028\x7f\u202e" =é日'


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """After each test."""
    yield
    structlog.reset_defaults()


def logged(capfd: pytest.CaptureFixture[str], form: str, call: Callable[[Any], object]) -> list[str]:
    """The lines that a call logs."""
    logs.configure("info", form)
    call(structlog.get_logger())
    assert logs.flush(5.0)
    return capfd.readouterr().err.split("\n")[:-1]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_name_can_forge_or_hide_a_line(capfd: pytest.CaptureFixture[str], form: str) -> None:
    (line,) = logged(capfd, form, lambda log: log.info("hello", node_id=HOSTILE))
    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_a_json_line_holds_every_value(capfd: pytest.CaptureFixture[str]) -> None:
    (line,) = logged(capfd, "json", lambda log: log.warning("hello", node_id=HOSTILE, count=3, other={1}))
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"level": "warning", "event": "hello", "node_id": HOSTILE, "count": 3, "other": "{1}"}


def test_a_text_line_escapes_what_cannot_be_seen(capfd: pytest.CaptureFixture[str]) -> None:
    (line,) = logged(capfd, "text", lambda log: log.info("hello", node_id="a\x1b\r\u2028é"))
    assert line.endswith("level=info event=hello node_id=a\\u001b\\u000d\\u2028é")


def test_other_libraries_log_in_the_same_form(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("asyncio", logging.ERROR, "", 1, "task %s failed", ("x",), None)
        record.exc_info = (ValueError, ValueError("broken"), None)
    logs.StructlogHandler().emit(record)
    assert logs.flush(5.0)
    entry = json.loads(capfd.readouterr().err)
    assert (entry["event"], entry["level"], entry["logger"]) == ("task x failed", "error", "asyncio")
    assert "ValueError: broken" in entry["exception"]


def report(count: int, reason: str) -> str:
    return f"{count} lost: {reason}"


def test_lines_for_a_full_disk_are_counted_and_said_when_there_is_room(tmp_path: Path) -> None:
    full, file = os.open("/dev/full", os.O_WRONLY), os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    shown = os.dup(full)
    writer = LineWriter(shown, report)
    for number in range(3):
        writer.write(f"line {number}")
    assert writer.flush(5.0)
    assert writer.lost == 3
    os.dup2(file, shown)
    for number in range(3, 5):
        writer.write(f"line {number}")
    assert writer.flush(5.0)
    assert (tmp_path / "log").read_text() == "3 lost: No space left on device\nline 3\nline 4\n"
    for descriptor in (full, file):
        os.close(descriptor)


def test_a_reader_that_went_away_costs_lines_and_nothing_else() -> None:
    reader, output = os.pipe()
    os.close(reader)
    writer = LineWriter(output, report)
    writer.write("line")
    assert writer.flush(5.0)
    assert writer.lost == 1
    os.close(output)


def test_a_reader_that_stalls_keeps_nobody_waiting() -> None:
    reader, output = os.pipe()
    writer = LineWriter(output, report)
    line = "x" * 999
    lines = 2 * MAX_BYTES // 1000
    for _ in range(lines):
        writer.write(line)
    assert not writer.flush(0.01)
    assert lines // 2 - 100 < writer.lost <= lines // 2 + 100
    lost, read = writer.lost, b""
    while read.count(b"\n") < lines - lost + 1:
        read += os.read(reader, 1 << 16)
    assert writer.flush(5.0)
    assert read.count(b"%d lost: the reader is too slow\n" % lost) == 1
    assert read.count(line.encode() + b"\n") == lines - lost
    for descriptor in (reader, output):
        os.close(descriptor)


def test_a_line_that_was_cut_off_does_not_run_into_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    room = iter([3, 0, 99, 99])
    write = os.write

    def short_write(to: int, data: bytes) -> int:
        part = data[: next(room)]
        if not part:
            raise OSError(28, "No space left on device")
        return write(to, part)

    writer = LineWriter(descriptor, report)
    monkeypatch.setattr("heartbench.hub.log_writer.os.write", short_write)
    for line in ("first", "second"):
        writer.write(line)
    assert writer.flush(5.0)
    monkeypatch.undo()
    assert (tmp_path / "log").read_text() == "fir\n1 lost: No space left on device\nsecond\n"
    os.close(descriptor)
