"""`heartbench tune`: the lowest stale threshold that meets a goal, and the env file that sets it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from heartbench.cli.free_options import FREE, MAX_TRAFFIC, NODE_OUT, PERMITTED_PINGS
from heartbench.cli.goal_options import JSON, MAX_DETECTION, MAX_FALSE_STALE, NOW, PER
from heartbench.cli.log_options import (
    DEAD,
    HUB_DOWN,
    INTERVAL,
    NODE,
    SENT,
    SILENT_AT_END,
    SKIP_SENDER_PAUSES,
    TIME,
    as_trace,
    log_options,
    positive,
)
from heartbench.cli.output import console, plain, print_json, print_table, progress, write_whole
from heartbench.cli.scheduler_option import Scheduler
from heartbench.cli.tune_free import ANY_PINGS, NODE_FILE, FreeOptions, print_leftovers, tune_free

if TYPE_CHECKING:
    from heartbench.analysis.evidence import Evidence
    from heartbench.analysis.tune import Goal, Recommendation, ThresholdFigures


OUT_HELP = "Env file for the hub, written if the goal is met."


def columns(counted: str) -> tuple[str, ...]:
    """Return the column headings; `counted` is what false stales were counted in."""
    return (
        "",
        "stale_after",
        "group",
        "false stales\nper node-day",
        "95% interval,\nnetwork",
        f"95% interval,\n{counted}",
        "detection\ntime (p99)",
        "visible flaps\nper hour",
    )


def tune(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="RUN|LOG|DIR", help="Run, log, or import to tune from. Default: the newest run."),
    ] = None,
    max_false_stale: Annotated[str, MAX_FALSE_STALE] = "1/node-week",
    max_detection: Annotated[str, MAX_DETECTION] = "90s",
    out: Annotated[Path, typer.Option(metavar="FILE", help=OUT_HELP)] = Path("hub.env"),
    per: Annotated[Literal["group", "fleet"], PER] = "group",
    now: Annotated[str | None, NOW] = None,
    silent_at_end: Annotated[Literal["dead", "alive"] | None, SILENT_AT_END] = None,
    skip_sender_pauses: Annotated[bool, SKIP_SENDER_PAUSES] = False,
    time: Annotated[str | None, TIME] = None,
    node: Annotated[str | None, NODE] = None,
    sent: Annotated[str | None, SENT] = None,
    interval: Annotated[str | None, INTERVAL] = None,
    hub_down: Annotated[list[str] | None, HUB_DOWN] = None,
    dead: Annotated[list[str] | None, DEAD] = None,
    free: Annotated[str | None, FREE] = None,
    node_out: Annotated[Path, NODE_OUT] = NODE_FILE,
    max_traffic: Annotated[str | None, MAX_TRAFFIC] = None,
    permitted_pings: Annotated[str, PERMITTED_PINGS] = ANY_PINGS,
    scheduler: Scheduler = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Find the lowest stale threshold that meets a goal, and write the hub's settings for it.

    Every threshold is evaluated on the trace. If the link's profile lists the
    outages that were observed, a thousand networks that fit them are evaluated
    too, and the upper end of their 95% interval must meet the goal. Exit
    status 1: no threshold meets the goal, and no settings are written. --free
    searches other settings of hub and nodes too: docs/joint-tuning.md.

    LOG is the log of a real hub in a format that `heartbench import` knows, DIR
    what that wrote, or a trace: Parquet with one row per message: node (number);
    kind (0 hello, 1 heartbeat, 2 chunk of output, 3 goodbye: not expected back
    until its next hello); sent_s and arrived_s (s from any origin; empty if it
    never arrived); boot (goes up at each restart); connection and seq (0 will do).
    """
    about_free = FreeOptions(free, out, node_out, max_traffic, permitted_pings, scheduler).checked()
    goal = goal_of(max_false_stale, max_detection)
    options = log_options(time=time, node=node, sent=sent, interval=interval, hub_down=hub_down, dead=dead)
    source = source or newest_run()
    question = about_free.question(source, goal, per)
    with as_trace(source, options) as trace:
        evidence = read(trace, source, now, silent_at_end, skip_sender_pauses)
        if question is not None:
            return tune_free(evidence, about_free, question, as_json)
        found = studied(evidence, goal, per)
    return finish(evidence, found, out, as_json)


def newest_run() -> Path:
    """Return the directory of the newest run."""
    from heartbench.simulator.run_directory import RunDirectory

    return RunDirectory.newest().path


def goal_of(max_false_stale: str, max_detection: str) -> "Goal":
    """Return the goal that the options set."""
    from heartbench.analysis.goals import stated_goal

    return stated_goal(max_false_stale, max_detection)


def read(trace: Path, source: Path, now: str | None, silent_at_end: str | None, skip_pauses: bool) -> "Evidence":
    """Return the evidence of a trace that was made of `source`, as the options say."""
    from heartbench.analysis.evidence import evidence_of
    from heartbench.analysis.readings import SilentAtEnd

    silent = None if silent_at_end is None else SilentAtEnd(silent_at_end)
    return evidence_of(trace, positive(now, "--now"), silent_at_end=silent, source=source, skip_pauses=skip_pauses)


def studied(evidence: "Evidence", goal: "Goal", per: str) -> "Recommendation":
    """Return the recommendation, with progress on standard error."""
    from heartbench.analysis.networks import nodes_to_simulate
    from heartbench.analysis.study import study
    from heartbench.analysis.tune import Per

    with progress("Simulating networks", nodes_to_simulate(evidence)) as advance:
        return study(evidence, goal, Per(per), advance)


def finish(evidence: "Evidence", found: "Recommendation", out: Path, as_json: bool) -> int:
    """Write what `report` and the hub need, print the result, and return the exit status."""
    from heartbench.analysis.verdict import as_json as to_json
    from heartbench.analysis.verdict import env_file

    result = {**to_json(found, evidence), "hub_env": str(out) if found.met else None}
    if evidence.scenario is not None:
        write_whole(evidence.source / "tune.json", json.dumps(plain(result), indent=2) + "\n")
    if found.met:
        write_whole(out, env_file(found, evidence))
    if as_json:
        print_json(result)
    else:
        show(found, evidence, out)
        if found.met:
            print_leftovers([out])
    return 0 if found.met else 1


def show(found: "Recommendation", evidence: "Evidence", out: Path) -> None:
    """Print the table, the verdict, its assumptions, and the name of the settings file."""
    from heartbench.analysis.assumptions import assumptions_of
    from heartbench.analysis.tail_assumptions import tail_assumptions
    from heartbench.analysis.verdict import counted_in, labelled_rows, reading_lines, sentence

    print_table(evidence.origin, columns(counted_in(found)), [cells(*each) for each in labelled_rows(found)])
    console().print(sentence(found))
    for line in reading_lines(found):
        console().print(f"  If {line}.")
    console().print("Assumptions:")
    for each in (*assumptions_of(evidence), *tail_assumptions(found)):
        console().print(f"  {each.line()}")
    older = " (the existing file is from an earlier run)" if out.exists() else ""
    print(f"Wrote {out}" if found.met else f"Did not write {out}: the goal is not met{older}")


def cells(label: str, name: str, row: "ThresholdFigures") -> tuple[str, ...]:
    """Return the cells of one threshold for one group."""
    from heartbench.analysis.verdict import figure, interval_text

    return (
        label,
        f"{row.stale_after_s:g} s",
        name,
        figure(row.false_stale_per_node_day),
        interval_text(row.false_stale_network_ci),
        interval_text(row.false_stale_ci),
        f"{figure(row.detection_p99_s)} s",
        figure(row.flashes_per_hour),
    )
