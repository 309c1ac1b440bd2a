"""Writes lines from a thread of its own, so that nobody waits for a slow disk or for a reader that stalls.

The rule: `write` never blocks and never fails. Up to MAX_BYTES wait for the thread; a line that finds no room, or that
cannot be written (full disk, closed pipe), is dropped and counted. As soon as a line can be written again, a line with
the count goes before it.
"""

import os
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

MAX_BYTES = 1 << 20

Report = Callable[[int, str], str]


class LineWriter:
    """Writes to a file descriptor, which stays open; `report` returns the line about lost ones: how many, and why."""

    def __init__(self, descriptor: int, report: Report) -> None:
        self.lost = 0  # lines, since the start
        self._descriptor = descriptor
        self._report = report
        self._reported = 0
        self._reason = ""
        self._cut_off = False  # the last line was written in part
        self._lines: deque[bytes] = deque()
        self._held_bytes = 0  # with the line that is being written
        self._changed = Condition()
        Thread(target=self._run, name="log-writer", daemon=True).start()

    def write(self, line: str) -> None:
        """Queue a line, or drop it if there is no room."""
        data = encoded(line)
        with self._changed:
            if self._held_bytes + len(data) > MAX_BYTES:
                self._lose("the reader is too slow")
                return
            self._lines.append(data)
            self._held_bytes += len(data)
            self._changed.notify_all()

    def flush(self, within_s: float) -> bool:
        """Wait until nothing is queued; return False if that takes longer than `within_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held_bytes, within_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                data = self._lines.popleft()
                unreported, reason = self.lost - self._reported, self._reason
            error = self._try_to_write(data, unreported, reason)
            with self._changed:
                if error is not None:
                    self._lose(error)
                self._held_bytes -= len(data)
                self._changed.notify_all()

    def _lose(self, reason: str) -> None:
        self.lost += 1
        self._reason = reason

    def _try_to_write(self, data: bytes, unreported: int, reason: str) -> str | None:
        """Write a line, and before it how many were lost; return why that failed, if it did."""
        try:
            if unreported:
                self._write(encoded(self._report(unreported, reason)))
                self._reported += unreported
            self._write(data)
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _write(self, data: bytes) -> None:
        if self._cut_off:
            data = b"\n" + data
        while data:
            written = os.write(self._descriptor, data)
            data = data[written:]
            self._cut_off = bool(data)


def encoded(line: str) -> bytes:
    """Return a line as it is written: UTF-8, with its end."""
    return line.encode("utf-8", "backslashreplace") + b"\n"
