"""The time of day before a line of a log.

    [1700000000.123456] 64 bytes from …       ping -D, fping -D
    1700000000.123456 64 bytes from …         ping | ts %.s
    2023-11-14T22:13:20.123+00:00 64 bytes …  ping | while read -r line; do echo "$(date -Ins) $line"; done

Dates are taken as they stand: a zone behind them shifts all alike. Other times before a line are passed over.
"""

import re

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.recordings.lines import ZERO, Block, Positions

DATE = re.compile(rb"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
SECOND_AT = len("2023-11-14T22:13:")
CLOCK = rb"\d\d:\d\d:\d\d[^ ]*"
BEFORE_TEXT = re.compile(
    rb"(?:\[[\d.]+\]|\d{9,}[\d.]*|\[?(?:\d{4}-\d\d-\d\d[T ])?" + CLOCK + rb"|(?:\w{3} )?\w{3} +\d+ " + CLOCK + rb") +"
)
DATES_BEGIN_S = 1e8
"""1973: a smaller number without brackets counts bytes, not seconds."""


def without_stamp(line: bytes) -> bytes:
    """Return a line without the time before it."""
    match = BEFORE_TEXT.match(line)
    return line[match.end() :] if match else line


def printed_s(block: Block) -> tuple[NDArray[np.float64], Positions]:
    """Return when each line was printed, in s since 1970, NaN: not known, and where the text behind the time begins."""
    bracket = block.codes[block.starts] == ord("[")
    at = block.starts + bracket
    times, end = dates(block, at) if any(map(DATE.match, first_lines(block))) else block.numbers(at)
    known = (bracket & ~np.isnan(times)) | (times > DATES_BEGIN_S)
    return np.where(known, times, np.nan), np.where(known, end + np.where(bracket, len("] "), 1), block.starts)


def first_lines(block: Block) -> list[bytes]:
    """Return some lines of a block: a summary or a header among them may have no time."""
    return [block.line(index) for index in range(min(len(block.ends), 20))]


def dates(block: Block, at: Positions) -> tuple[NDArray[np.float64], Positions]:
    """Return the dates in ISO 8601 that begin at these places, in s since 1970, and where each ends."""
    digits = (block.windows[at] - ZERO).astype(np.int64)
    year, month, day, hour, minute = (
        digits[:, begin:end] @ 10 ** np.arange(end - begin)[::-1]
        for begin, end in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16))
    )
    second, end = block.numbers(np.minimum(at + SECOND_AT, len(block.codes) - 1))
    is_date = (digits[:, [4, 7, 13, 16]] == np.frombuffer(b"--::", np.uint8) - ZERO).all(axis=1)
    is_date &= (year < 10_000) & (month >= 1) & (month <= 12)
    months = np.where(is_date, (year - 1970) * 12 + month - 1, 0)
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
    return np.where(is_date, days * 86400.0 + hour * 3600 + minute * 60 + second, np.nan), end
