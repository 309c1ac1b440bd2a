"""`heartbench import`: make a trace of the log of a real hub, to tune from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heartbench.cli.goal_options import JSON
from heartbench.cli.output import check_folder, console, print_json

if TYPE_CHECKING:
    from heartbench.analysis.imports import ImportRecord

COLUMN = "COL"
MOST_SHOWN = 10
"""Suspects and silences that are printed one by one."""


def column(what: str) -> Any:
    """Return the option for a column of CSV and JSON Lines."""
    return typer.Option(metavar=COLUMN, help=f"Column with {what}; for CSV and JSON Lines.", show_default=False)


def import_log(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="Files of one hub's log; .gz and .zip too.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Directory for the import.")],
    format_: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Format, if the content does not show it.")
    ] = None,
    time: Annotated[str | None, column("the time at which the hub received the message")] = None,
    node: Annotated[
        str | None,
        typer.Option(metavar=COLUMN, help="Column (Prometheus: label) with the node; @file: the name of the file."),
    ] = None,
    sent: Annotated[str | None, column("the time at which the node sent it")] = None,
    sequence: Annotated[str | None, column("the number of the message")] = None,
    boot: Annotated[str | None, column("anything that changes when the node restarts")] = None,
    kind: Annotated[str | None, column("hello, heartbeat, chunk or goodbye")] = None,
    time_unit: Annotated[
        str | None, typer.Option(metavar="UNIT", help="Unit of times that are numbers: s, ms, us or ns.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Heartbeat interval; by default the median gap.")
    ] = None,
    marked_after: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Silence after which that hub marks a node; for logs of statuses only."),
    ] = None,
    hub_down: Annotated[
        list[str] | None, typer.Option(metavar="FROM..TO", help="When the hub was down; may be repeated.")
    ] = None,
    dead: Annotated[
        list[str] | None, typer.Option(metavar="NAME[@TIME]", help="Node that is gone for good; may be repeated.")
    ] = None,
    restart: Annotated[
        list[str] | None, typer.Option(metavar="NAME@TIME", help="Restart of a node; may be repeated.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Import the log of a real hub as a trace: `heartbench tune DIR` judges it.

    Recognises its format by its content: CSV, JSON Lines, our own hub's observer
    file and events, Kubernetes node leases and audit logs, Consul, Nomad,
    Prometheus and Mosquitto. docs/logs.md says how to make each log, and what
    it can and cannot show.

    TIME is ISO 8601 with a zone, Unix time in s, or s as the command prints it:
    since the first second of the log.
    """
    from heartbench.analysis.imports import ImportOptions, NodeMoment, import_log, parse_span, parse_unit
    from heartbench.simulator.units import parse_duration

    options = ImportOptions(
        format=format_,
        time=time,
        node=node,
        sent=sent,
        sequence=sequence,
        boot=boot,
        kind=kind,
        time_unit=parse_unit(time_unit, "--time-unit"),
        interval_s=None if interval is None else parse_duration(interval, "--interval") or None,
        marked_after_s=None if marked_after is None else parse_duration(marked_after, "--marked-after") or None,
        hub_down=tuple(parse_span(text, "--hub-down") for text in hub_down or ()),
        dead=tuple(NodeMoment.parse(text, "--dead") for text in dead or ()),
        restarted=tuple(NodeMoment.parse(text, "--restart") for text in restart or ()),
    )
    check_folder(out)
    record = import_log(logs, options, out)
    if as_json:
        print_json(record.as_json())
    else:
        show(record, out)


def show(record: "ImportRecord", out: Path) -> None:
    """Print what was found, what the log cannot say, and what the user should."""
    lines = [
        f"{record.format}: {record.heartbeats:,} messages of {record.nodes:,} nodes in {record.hours:.2f} h, "
        f"every {record.interval_s:g} s; restarts: {record.restarts}.",
        *(f"The hub was down from {number(begin)} to {number(end)} s." for begin, end in record.hub_down[:MOST_SHOWN]),
        *(f"{each.node} is gone since {number(each.at_s)} s." for each in record.dead[:MOST_SHOWN]),
        *(
            f"{each.node} was silent for the last {number(each.silent_s)} s: is it dead? Then --dead {each.node}"
            for each in record.suspects[:MOST_SHOWN]
        ),
        *(
            f"All nodes were silent from {number(begin)} to {number(end)} s: was the hub down? Then "
            f"--hub-down {number(begin)}..{number(end)}"
            for begin, end in record.all_silent[:MOST_SHOWN]
        ),
    ]
    for what, found in (("suspects", record.suspects), ("silences of all nodes", record.all_silent)):
        if len(found) > MOST_SHOWN:
            lines.append(f"{len(found) - MOST_SHOWN} more {what}: see {out / 'import.json'}")
    lines += [*record.notes, "The log does not say which nodes died: each silence counts as that of a live node."]
    for line in lines:
        console().print(line, soft_wrap=True)
    print(f"Wrote {out}")


def number(value: float) -> str:
    """Return a time in s, to the millisecond."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
