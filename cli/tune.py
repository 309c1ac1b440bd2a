"""`heartbench tune`: which stale threshold meets a goal, and the env file that sets it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from heartbench.cli.output import (
    check_output,
    console,
    plain,
    print_json,
    print_table,
    progress,
    write_whole,
)

if TYPE_CHECKING:
    from heartbench.analysis.evidence import Evidence
    from heartbench.analysis.tune import Recommendation


def columns(counted: str) -> tuple[str, ...]:
    """Return the heads of the table; what false stales were `counted` in."""
    return (
        "",
        "stale_after",
        "group",
        "false stale\nper node-day",
        "95% of the\nnetwork",
        f"95% of the\n{counted}",
        "noticed\nwithin (p99)",
        "flashes\nper hour",
    )


def tune(
    source: Annotated[
        Path | None, typer.Argument(metavar="RUN_DIR|TRACE", help="What to judge by; the newest run if not given.")
    ] = None,
    max_false_stale: Annotated[
        str, typer.Option(metavar="RATE", help="How often a living node may be called stale.")
    ] = "1/node-week",
    max_detection: Annotated[
        str, typer.Option(metavar="DURATION", help="How soon 99 of 100 dead nodes must be stale.")
    ] = "90s",
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the hub's settings go if the goal is met.")] = Path(
        "hub.env"
    ),
    per: Annotated[
        Literal["group", "fleet"],
        typer.Option(help="Whether each group of nodes must meet the goal, or the fleet on the average."),
    ] = "group",
    now: Annotated[
        str | None, typer.Option(metavar="DURATION", help="The stale threshold as it is, of a bare trace.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Find the cheapest stale threshold that meets a goal, and write the hub's settings for it.

    Every threshold is judged by what it would have said about the trace. If a
    link's profile has the outages that were observed, a thousand networks that
    fit them are looked at too, and the goal must be met up to the upper end of
    their interval (95%). Exit status 1: no threshold can be said to meet the
    goal, and the settings are not written.

    TRACE is Parquet, a file or a folder of them, a row a message: node
    (number of the node); kind (0 hello, 1 heartbeat, 2 chunk of output,
    3 goodbye: until its next hello nobody waits for the node); sent_s and
    arrived_s (in s, counted from any moment, so Unix time will do; arrived_s
    is empty where the message never arrived); boot, connection and seq, which
    are not judged by and may be 0.
    """
    from heartbench.analysis.evidence import evidence_of
    from heartbench.analysis.networks import nodes_to_simulate
    from heartbench.analysis.study import study
    from heartbench.analysis.tune import Goal, Per
    from heartbench.analysis.verdict import as_json as to_json
    from heartbench.analysis.verdict import env_file
    from heartbench.simulator.run_directory import RunDirectory
    from heartbench.simulator.units import parse_duration, parse_rate

    goal = Goal(parse_rate(max_false_stale, "--max-false-stale"), parse_duration(max_detection, "--max-detection"))
    check_output(out)
    now_s = None if now is None else parse_duration(now, "--now")
    evidence = evidence_of(RunDirectory.newest().path if source is None else source, now_s)
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
    """Print the table, the verdict, what it assumes, and where the settings are."""
    from heartbench.analysis.assumptions import assumptions_of
    from heartbench.analysis.verdict import counted_in, labelled_rows, sentence

    print_table(evidence.origin, columns(counted_in(found)), [cells(*each) for each in labelled_rows(found)])
    console().print(sentence(found))
    console().print("Assumed:")
    for each in assumptions_of(evidence):
        console().print(f"  {each.line()}")
    before = " (the file that is there is from before)" if out.exists() else ""
    print(f"Written: {out}" if found.met else f"Not written, because the goal is not met: {out}{before}")


def cells(label: str, name: str, row: dict[str, Any]) -> tuple[str, ...]:
    """One threshold for some nodes, as the table shows it."""
    from heartbench.analysis.verdict import figure, interval_text

    return (
        label,
        f"{row['stale_after_s']:g} s",
        name,
        figure(row["false_stale_per_node_day"]),
        interval_text(row["false_stale_network_ci"]),
        interval_text(row["false_stale_ci"]),
        f"{figure(row['detection_p99_s'])} s",
        figure(row["flashes_per_hour"]),
    )
