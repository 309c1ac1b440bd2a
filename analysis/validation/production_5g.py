"""The figures of the profiles `wireguard-5g`, `5g-standing` and `lte`, counted in the traces behind them.

    python -m heartbench.analysis.validation.production_5g 5G-production-dataset.zip

The source is a log of a constant download while driving and standing (Raca, Leahy, Sreenan, Quinlan, "Beyond
Throughput, The Next Generation: A 5G Dataset with Channel and Context Metrics", ACM MMSys 2020, repository
uccmisl/5Gdataset). Its logger repeats about one timestamp in nine and skips about as many seconds, so rows do not
measure time: repeated timestamps are dropped, and an outage lasts from its first quiet second to its last, inclusive.
The first and last 20 s of each file are ignored.

A second is quiet at 2 kbit/s or less. At up to 15 kbit/s a lone segment arrived, as from a sender that receives no
acknowledgement: the downlink was open and the uplink was not. Heartbeats use the uplink, so for them such a second does
not end an outage (`LONE_SEGMENT_KBIT_S`). The printed figures are from that count and match the shipped profiles.

For a profile of one network mode (LTE), the seconds and ping rounds in that mode count, and outages that begin in it.
"""

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.simulator.tail import Tail, fit

MODULE = "heartbench.analysis.validation.production_5g"
QUIET_KBIT_S = 2.0
LONE_SEGMENT_KBIT_S = 15.0
EDGE_S = 20
FROM_S = 3.0
"""Shortest counted outage: while it pings, the logger pauses its download for one or two seconds."""
RESOLUTION_S = 1.0
TABLE_S = (3, 5, 10, 15, 20, 30)
RTT_SHARES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a profile is counted from: traces of one movement (`Driving`, `Static`), in one network mode (None: all)."""

    profile: str
    movement: str
    mode: str | None = None

    @property
    def label(self) -> str:
        """Name in the printed table."""
        return {"Driving": "driving", "Static": "standing"}[self.movement] + (f" on {self.mode}" if self.mode else "")


SUBJECTS = (Subject("wireguard-5g", "Driving"), Subject("5g-standing", "Static"), Subject("lte", "Driving", "LTE"))


@dataclass(frozen=True, slots=True)
class Trace:
    """One file of the log, with rows of repeated timestamps dropped.

    Attributes:
        at_s: second of each row, rising; shape (n,).
        kbit_s: download rate in that second, kbit/s; shape (n,).
        counts: whether the row counts, because the phone was in the wanted network mode; shape (n,).
        ping_at_s: second of each round of five pings; shape (m,).
        ping_ms: mean round-trip time of a round, ms; NaN if no ping was answered; shape (m,).
        ping_lost: percentage of a round's pings that were lost; shape (m,).
        ping_counts: whether the round counts, as `counts`; shape (m,).
    """

    at_s: Floats
    kbit_s: Floats
    counts: Flags
    ping_at_s: Floats
    ping_ms: Floats
    ping_lost: Floats
    ping_counts: Flags

    @property
    def hours(self) -> float:
        """Time observed, h."""
        return float(np.diff(self.at_s)[self.counts[:-1]].sum()) / 3600


@dataclass(frozen=True, slots=True)
class Outage:
    """A run of quiet seconds: when it began (s), its length (s), and whether it contains a lone segment."""

    at_s: float
    length_s: float
    lone_segment: bool


@dataclass(frozen=True, slots=True)
class Recount:
    """All outages of some traces, and the observed hours."""

    hours: float
    outages: tuple[Outage, ...]

    def lengths_s(self, at_least_s: float = FROM_S) -> Floats:
        """Return the lengths of at least `at_least_s`, sorted, s."""
        return np.sort([each.length_s for each in self.outages if each.length_s >= at_least_s])

    def tail(self) -> Tail:
        """Return the tail fitted to the lengths over FROM_S."""
        return fit(self.lengths_s(), FROM_S, RESOLUTION_S)

    def up_share(self) -> float:
        """Return the share of the outages of at least FROM_S in which the downlink was open."""
        long = [each for each in self.outages if each.length_s >= FROM_S]
        return sum(each.lone_segment for each in long) / len(long)


def read_traces(archive: Path, subject: Subject) -> list[Trace]:
    """Return the download traces of a subject.

    Raises:
        AnalysisError: the file is not this archive.
    """
    try:
        with ZipFile(archive) as files:
            folder = f"5G-production-dataset/Download/{subject.movement}/B_"
            names = [name for name in files.namelist() if name.startswith(folder)]
            traces = [_trace(files.read(name).decode(), subject.mode) for name in sorted(names)]
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise AnalysisError(f"{archive}: cannot be read ({error}); expected 5G-production-dataset.zip") from error
    if not traces:
        raise AnalysisError(f"{archive}: no Download/{subject.movement} traces; expected 5G-production-dataset.zip")
    return traces


def _trace(text: str, mode: str | None) -> Trace:
    rows = list(csv.DictReader(io.StringIO(text)))
    at = np.array([_second(row["Timestamp"]) for row in rows])
    rate = np.array([float(row["DL_bitrate"]) for row in rows])
    inner = (at >= at[0] + EDGE_S) & (at <= at[-1] - EDGE_S)
    first = np.append(True, np.diff(at) > 0) & inner
    counts = np.array([mode in {None, row["NetworkMode"]} for row in rows])
    pinged = np.array([row["PINGLOSS"] != "-" for row in rows]) & inner
    rounds = [row for row, chosen in zip(rows, pinged, strict=True) if chosen]
    return Trace(
        at_s=at[first],
        kbit_s=rate[first],
        counts=counts[first],
        ping_at_s=at[pinged],
        ping_ms=np.array([float("nan") if row["PINGAVG"] == "-" else float(row["PINGAVG"]) for row in rounds]),
        ping_lost=np.array([float(row["PINGLOSS"]) for row in rounds]),
        ping_counts=counts[pinged],
    )


def _second(timestamp: str) -> float:
    return datetime.strptime(timestamp, "%Y.%m.%d_%H.%M.%S").replace(tzinfo=UTC).timestamp()


def recount(traces: list[Trace], up_to_kbit_s: float) -> Recount:
    """Count the outages: runs of seconds with at most `up_to_kbit_s`."""
    found = [outage for trace in traces for outage in outages(trace, up_to_kbit_s)]
    return Recount(sum(trace.hours for trace in traces), tuple(found))


def outages(trace: Trace, up_to_kbit_s: float) -> Iterator[Outage]:
    """Yield the runs of seconds with at most `up_to_kbit_s`, in order, that begin while the trace counts."""
    out = trace.kbit_s <= up_to_kbit_s
    edges = np.flatnonzero(np.diff(np.concatenate([[False], out, [False]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if not trace.counts[max(begin - 1, 0)]:
            continue
        quiet = np.flatnonzero(trace.kbit_s[begin:end] <= QUIET_KBIT_S)
        lone = len(quiet) > 0 and quiet[-1] - quiet[0] + 1 > len(quiet)
        yield Outage(float(trace.at_s[begin]), float(trace.at_s[end - 1] - trace.at_s[begin] + 1), bool(lone))


def short_ratios(traces: list[Trace]) -> tuple[float, float]:
    """Return how many outages of at least 1 s and of at least 2 s there are for each one of at least 3 s.

    Only runs without an answered ping in them or within a second of them count, which excludes the logger's pauses.
    """
    lengths = np.concatenate([_unanswered_s(trace) for trace in traces])
    three = np.count_nonzero(lengths >= FROM_S)
    return np.count_nonzero(lengths >= 1) / three, np.count_nonzero(lengths >= 2) / three


def _unanswered_s(trace: Trace) -> Floats:
    answered = np.sort(trace.ping_at_s[trace.ping_lost < 100])
    runs = list(outages(trace, LONE_SEGMENT_KBIT_S))
    begins = np.array([run.at_s - 1 for run in runs])
    ends = np.array([run.at_s + run.length_s for run in runs])
    alone = np.searchsorted(answered, begins) == np.searchsorted(answered, ends, side="right")
    return np.asarray(np.array([run.length_s for run in runs])[alone])


def table_rows(traces: list[Trace]) -> dict[str, list[str]]:
    """Return the rows of both counting methods, by name: hours, counts of at least TABLE_S, and the longest."""
    methods = {"quiet seconds": QUIET_KBIT_S, "lone segments joined": LONE_SEGMENT_KBIT_S}
    rows = {}
    for name, up_to in methods.items():
        counted = recount(traces, up_to)
        lengths = counted.lengths_s()
        counts = [str(np.count_nonzero(lengths >= each)) for each in TABLE_S]
        rows[name] = [f"{counted.hours:.2f}", *counts, f"{lengths.max():.0f} s"]
    return rows


def profile_figures(traces: list[Trace]) -> str:
    """Return the figures of the profile as TOML: `[outage]`, and round trips and lost rounds as comments."""
    joined = recount(traces, LONE_SEGMENT_KBIT_S)
    tail, per_hour = joined.tail(), len(joined.lengths_s()) / joined.hours
    one, two = (ratio * per_hour for ratio in short_ratios(traces))
    lengths = ", ".join(f"{each:.0f}" for each in joined.lengths_s())
    rtt = np.concatenate([trace.ping_ms[trace.ping_counts] for trace in traces])
    lost = np.concatenate([trace.ping_lost[trace.ping_counts] for trace in traces])
    quantiles = np.nanquantile(rtt, RTT_SHARES)
    shares = [np.count_nonzero(lost == each) / len(lost) for each in (20, 40, 60, 80, 100)]
    return "\n".join(
        [
            "[outage]",
            f'rates = [["1s", {one:.1f}], ["2s", {two:.1f}]]',
            f"shape = {tail.shape:g}",
            f'scale = "{tail.scale_s:g}s"',
            f"# the downlink was open in {100 * joined.up_share():.0f}% of them",
            "[outage.observed]",
            f"hours = {joined.hours:.2f}",
            f'from = "{FROM_S:g}s"',
            f'resolution = "{RESOLUTION_S:g}s"',
            f"lengths = [{lengths}]",
            "# round trip, ms: min "
            + f"{np.nanmin(rtt):.0f}, "
            + ", ".join(f"{share:g}: {value:.0f}" for share, value in zip(RTT_SHARES, quantiles, strict=True)),
            f"# of {len(lost):,} ping rounds, one, two, three, four and all five pings were lost in "
            + ", ".join(f"{100 * share:.2f}%" for share in shares),
        ]
    )


def main(arguments: list[str]) -> int:
    """Print both counts and the figures of each profile."""
    if len(arguments) != 1:
        print(f"usage: python -m {MODULE} 5G-production-dataset.zip", file=sys.stderr)
        return 2
    try:
        found = {subject: read_traces(Path(arguments[0]), subject) for subject in SUBJECTS}
    except AnalysisError as error:
        print(f"heartbench: {error}", file=sys.stderr)
        return 2
    print("| | hours |", " | ".join(f"{each} s" for each in TABLE_S), "| longest |")
    print("|---" * (len(TABLE_S) + 3) + "|")
    for subject, traces in found.items():
        for name, cells in table_rows(traces).items():
            print(f"| {subject.label}, {name} |", " | ".join(cells), "|")
    for subject, traces in found.items():
        print(f"\n# {subject.profile}")
        print(profile_figures(traces))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
