"""`heartbench watch`: whether a hub's setting still meets its goal, and whether its network or its fleet changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from heartbench.cli.credential_options import Cert, Key, TlsCa, Token
from heartbench.cli.errors import CommandError
from heartbench.cli.event_log import write_events
from heartbench.cli.goal_options import JSON, MAX_FALSE_STALE, NOW, PER
from heartbench.cli.log_options import (
    HUB_DOWN,
    INTERVAL,
    MARKED_AFTER,
    NODE,
    TIME,
    as_trace,
    is_log,
    log_options,
    positive,
)
from heartbench.cli.output import console, print_json, print_table, progress
from heartbench.mesh.address import is_address
from heartbench.mesh.credentials import Credentials, load_credentials

if TYPE_CHECKING:
    from heartbench.analysis.evidence import Evidence
    from heartbench.analysis.imports import ImportOptions
    from heartbench.analysis.promise.judgement import Judgement
    from heartbench.analysis.promise.shifts import Reference

COLUMNS = ("group", "false stales", "per node-day", "95% interval", "goal", "setting")
SINCE = typer.Option(metavar="DURATION", help="Length of the recent part, before the end, which is judged.")
PROFILE = typer.Option(
    metavar="NAME|FILE", help="Link profile to compare with. Default: the log before the recent part."
)
FOR = typer.Option("--for", metavar="DURATION", help="How long to listen to the hub at ADDRESS for further events.")
SILENT = typer.Option(help="What became of the nodes that fell silent before the end of a log. Default: dead.")


def watch(
    source: Annotated[
        str, typer.Argument(metavar="ADDRESS|LOG|DIR|RUN", help="Running hub (HOST:PORT), log, import, trace or run.")
    ],
    max_false_stale: Annotated[str, MAX_FALSE_STALE] = "1/node-week",
    now: Annotated[str | None, NOW] = None,
    since: Annotated[str, SINCE] = "24h",
    profile: Annotated[str | None, PROFILE] = None,
    per: Annotated[Literal["group", "fleet"], PER] = "group",
    silent_at_end: Annotated[Literal["dead", "alive"] | None, SILENT] = None,
    listen: Annotated[str, FOR] = "0s",
    time: Annotated[str | None, TIME] = None,
    node: Annotated[str | None, NODE] = None,
    interval: Annotated[str | None, INTERVAL] = None,
    marked_after: Annotated[str | None, MARKED_AFTER] = None,
    hub_down: Annotated[list[str] | None, HUB_DOWN] = None,
    tls_ca: TlsCa = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Report whether the setting of a hub still meets its goal, and whether its network or its fleet changed.

    The last 24 h of the log (--since) are judged. Nothing is stored: run it
    as often as you like, by cron. Exit status 0: the setting is kept, or it is
    too early to say, and nothing changed; 1: it is broken, or the network or
    the fleet changed; 2: bad input.

    DIR is the HUB_TRACE_DIR of a hub that may be running, which also records
    its threshold, or an import; LOG is the log of any hub that `heartbench
    import` knows. Of a hub at ADDRESS only the events that it holds are known.
    """
    from heartbench.analysis.promise.looks import look_at
    from heartbench.analysis.tune import Per
    from heartbench.simulator.units import parse_duration, parse_rate

    goal, recent_s = parse_rate(max_false_stale, "--max-false-stale"), positive(since, "--since") or 0.0
    options = log_options(time=time, node=node, interval=interval, marked_after=marked_after, hub_down=hub_down)
    now_s = positive(now, "--now") or recorded_threshold_s(Path(source))
    hub = Hub(source, load_credentials(tls_ca, cert, key, token), parse_duration(listen, "--for"), now_s)
    with trace_of(hub, options) as trace:
        evidence = read(trace, Path(source), now_s, silent_at_end)
        stated = stated_by(profile, evidence) if profile else None
        found = look_at(evidence, trace, recent_s, goal, Per(per), stated)
    if as_json:
        show_json(found, evidence, goal, profile)
    else:
        show(found, evidence, goal, profile)
    return 0 if found.is_good else 1


@dataclass(frozen=True, slots=True)
class Hub:
    """What to read: the source, and how a running hub is called if it is one; its threshold, s."""

    source: str
    credentials: Credentials | None
    listen_s: float
    now_s: float | None

    @property
    def is_running(self) -> bool:
        """Whether the source is an address."""
        return is_address(self.source) and not Path(self.source).exists()


@contextmanager
def trace_of(hub: Hub, options: "ImportOptions") -> Iterator[Path]:
    """Yield the trace of a log, or of the events of a running hub."""
    if not hub.is_running:
        if hub.listen_s or hub.credentials:
            raise CommandError(f"{hub.source}: is not an address; --for and credentials are for a running hub")
        with as_trace(Path(hub.source), options) as trace:
            yield trace
        return
    if hub.now_s is None:
        raise CommandError("--now: is missing; a hub's events do not contain its threshold, such as 30s")
    if options.marked_after_s is not None:
        raise CommandError("--marked-after: expected only with a log; of a running hub it is --now")
    with TemporaryDirectory(prefix="heartbench-") as folder:
        log = Path(folder, "events.jsonl")
        write_events(hub.source, hub.credentials, hub.listen_s, log)
        with as_trace(log, replace(options, marked_after_s=hub.now_s)) as trace:
            yield trace


def recorded_threshold_s(source: Path) -> float | None:
    """Return the threshold that the record of a hub states, s; None if the source is none."""
    from heartbench.analysis.hub_trace import newest_threshold_s

    return newest_threshold_s(source) if source.is_dir() and is_log(source) else None


def read(trace: Path, source: Path, now_s: float | None, silent: str | None) -> "Evidence":
    """Return the evidence of a trace that was made of `source`, whose hub has a known threshold."""
    from heartbench.analysis.evidence import evidence_of
    from heartbench.analysis.readings import SilentAtEnd

    evidence = evidence_of(trace, now_s, silent_at_end=SilentAtEnd(silent) if silent else None, source=source)
    if evidence.imported and evidence.current_s is None:
        raise CommandError(f"--now: is missing; {source} does not record the threshold of its hub, such as 30s")
    statuses_s = evidence.record.statuses_s if evidence.record else None
    if statuses_s is not None and now_s is not None and now_s < statuses_s:
        raise CommandError(
            f"--now: {now_s:g}s: {source} shows no shorter silence than {statuses_s:g}s; must be as long"
        )
    return evidence


def stated_by(profile: str, evidence: "Evidence") -> "Reference":
    """Return the rates that a profile states for the nodes of a log, with progress on standard error."""
    from heartbench.analysis.promise.stated import NODES, stated_rates

    if evidence.current_s is None:
        raise CommandError(f"--profile {profile}: {evidence.source}: its hub has no fixed timeout; leave it out")
    if evidence.longest_interval_s is None:
        raise CommandError(f"--profile {profile}: {evidence.source} does not show the heartbeat interval; leave it out")
    if evidence.longest_interval_s != evidence.usual_gap_s:
        raise CommandError(f"--profile {profile}: {evidence.source}: its groups differ in their interval; leave it out")
    with progress("Simulating networks", NODES) as advance:
        return stated_rates(profile, evidence.usual_gap_s, evidence.current_s, advance)


def show_json(found: "Judgement", evidence: "Evidence", goal: float, profile: str | None) -> None:
    """Print one JSON object."""
    from heartbench.analysis.promise.words import as_json

    print_json(as_json(found, evidence, goal, profile))


def show(found: "Judgement", evidence: "Evidence", goal: float, profile: str | None) -> None:
    """Print the table, the findings, and what was assumed."""
    from heartbench.analysis.promise import words

    title = words.title(found, evidence)
    print_table(title, COLUMNS, words.rows(found, goal))
    for line in words.lines(found, words.clock_of(evidence), profile):
        console().print(line)
    console().print("Assumptions:")
    for line in words.assumptions(evidence, profile):
        console().print(f"  {line}")
