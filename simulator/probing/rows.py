"""The file of a prober: a line of text for each row, about 30 bytes.

A day of one probe a second is under 3 MB if all are answered in time, and about 7 MB if each probe has three rows.

    # heartbench probe 1 to 192.0.2.1:7117 every 1s, began 1700000000.123456
    probe,sent_us,rtt_us,there_us,lost
    0,0,40211,0,
    1,1000123,,,up

Each row is written at once and whole, so that what was written can be read after any end of the prober.
"""

from heartbench.simulator.probing.prober import Row

MARK = "# heartbench probe 1 "
COLUMNS = "probe,sent_us,rtt_us,there_us,lost"


def head(target: str, interval: str, began_unix_s: float) -> str:
    """Return the first two lines of a file."""
    return f"{MARK}to {target} every {interval}, began {began_unix_s:.6f}\n{COLUMNS}\n"


def line(row: Row) -> str:
    """Return a row as a line."""
    rtt, there = (("" if ns is None else str(round(ns / 1000))) for ns in (row.rtt_ns, row.there_ns))
    return f"{row.number},{round(row.sent_ns / 1000)},{rtt},{there},{row.lost.value if row.lost else ''}\n"
