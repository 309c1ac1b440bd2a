"""`heartbench tune`: the lowest stale threshold that meets a goal, and the env file that sets it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

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
)
from heartbench.cli.output import check_output, console, plain, print_json, print_table, progress, write_whole

if TYPE_CHECKING:
    from heartbench.analysis.evidence import Evidence
    from heartbench.analysis.tune import Recommendation, ThresholdFigures


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
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Find the lowest stale threshold that meets a goal, and write the hub's settings for it.

    Every threshold is evaluated on the trace. If the link's profile lists the
    outages that were observed, a thousand networks that fit them are evaluated
    too, and the upper end of their 95% interval must meet the goal. Exit
    status 1: no threshold meets the goal, and no settings are written.

    LOG is the log of a real hub, in a format that `heartbench import` knows, and
    DIR what that wrote. In a log, a gap that ends with a restart of the node, or
    in which the hub was down, counts for nobody. If nodes fell silent before its
    end, or its times are known only to within a step, each reading is judged and
    the worst decides.

    DIR may also be a trace: a Parquet file or a folder of them, with one row per
    message: node (its number); kind (0 hello, 1 heartbeat, 2 chunk of output, 3
    goodbye: the node is not expected back until its next hello); sent_s and
    arrived_s (in s from any origin, such as Unix time; arrived_s is empty if the
    message never arrived); boot (goes up when the node restarts); connection and
    seq, which are not used and may be 0, as may boot.
    """
    from heartbench.analysis.evidence import evidence_of
    from heartbench.analysis.networks import nodes_to_simulate
    from heartbench.analysis.readings import SilentAtEnd
    from heartbench.analysis.study import study
    from heartbench.analysis.tune import Goal, Per
    from heartbench.analysis.verdict import as_json as to_json
    from heartbench.analysis.verdict import env_file
    from heartbench.simulator.run_directory import RunDirectory
    from heartbench.simulator.units import parse_duration, parse_rate

    goal = Goal(parse_rate(max_false_stale, "--max-false-stale"), parse_duration(max_detection, "--max-detection"))
    check_output(out)
    current_s = None if now is None else parse_duration(now, "--now")
    silent = None if silent_at_end is None else SilentAtEnd(silent_at_end)
    source = RunDirectory.newest().path if source is None else source
    options = log_options(time=time, node=node, sent=sent, interval=interval, hub_down=hub_down, dead=dead)
    with as_trace(source, options) as trace:
        evidence = evidence_of(trace, current_s, silent_at_end=silent, source=source, skip_pauses=skip_sender_pauses)
        with progress("Simulating networks", nodes_to_simulate(evidence)) as advance:
            found = study(evidence, goal, Per(per), advance)
    result = {**to_json(found, evidence), "hub_env": str(out) if found.met else None}
    if evidence.scenario is not None:
        write_whole(evidence.source / "tune.json", json.dumps(plain(result), indent=2) + "\n")
    if found.met:
        write_whole(out, env_file(found, evidence))
    if as_json:
        print_json(result)
    else:
        show(found, evidence, out)
    return 0 if found.met else 1


def show(found: "Recommendation", evidence: "Evidence", out: Path) -> None:
    """Print the table, the verdict, its assumptions, and the name of the settings file."""
    from heartbench.analysis.assumptions import assumptions_of
    from heartbench.analysis.verdict import counted_in, labelled_rows, reading_lines, sentence

    print_table(evidence.origin, columns(counted_in(found)), [cells(*each) for each in labelled_rows(found)])
    console().print(sentence(found))
    for line in reading_lines(found):
        console().print(f"  If {line}.")
    console().print("Assumptions:")
    for each in assumptions_of(evidence):
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
