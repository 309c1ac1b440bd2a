"""Logs of ping for tests, line by line."""

from collections.abc import Callable

from heartbench.simulator.recordings import Recording

HEAD = "PING host (192.0.2.1) 56(84) bytes of data.\n"
Read = Callable[[str], Recording]


def answer(number: int, rtt_ms: float = 20.0, printed_s: float | None = None, extra: str = "") -> str:
    """Return the line of an answer, with the time at which it was printed, s since 1970, as -D does."""
    stamp = "" if printed_s is None else f"[{printed_s:.6f}] "
    return f"{stamp}64 bytes from host (192.0.2.1): icmp_seq={number} ttl=57 time={rtt_ms:g} ms{extra}\n"
