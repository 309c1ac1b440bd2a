"""`heartbench import`: make a trace of the log of a real hub, to tune from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartbench.cli.goal_options import JSON
from heartbench.cli.log_options import (
    BOOT,
    DEAD,
    FORMAT,
    HUB_DOWN,
    INTERVAL,
    KIND,
    MARKED_AFTER,
    NODE,
    RESTART,
    SENT,
    SEQUENCE,
    TIME,
    UNIT,
    log_options,
    option,
)
from heartbench.cli.output import check_folder, console, print_json

if TYPE_CHECKING:
    from heartbench.analysis.imports import ImportRecord

DEATHS = "The log does not say which nodes died: silence of a node that is not named with --dead is a live node's."
MOST_SHOWN = 10
"""Suspects and silences that are printed one by one."""


LOGS = typer.Argument(metavar="LOG...", help="Files of one hub's log; .gz and .zip too.")
OUT = option("DIR", "Directory for the import.", "--out", "-o")


def import_log(
    logs: Annotated[list[Path], LOGS],
    out: Annotated[Path, OUT],
    format_: Annotated[str | None, FORMAT] = None,
    time: Annotated[str | None, TIME] = None,
    node: Annotated[str | None, NODE] = None,
    sent: Annotated[str | None, SENT] = None,
    sequence: Annotated[str | None, SEQUENCE] = None,
    boot: Annotated[str | None, BOOT] = None,
    kind: Annotated[str | None, KIND] = None,
    time_unit: Annotated[str | None, UNIT] = None,
    interval: Annotated[str | None, INTERVAL] = None,
    marked_after: Annotated[str | None, MARKED_AFTER] = None,
    hub_down: Annotated[list[str] | None, HUB_DOWN] = None,
    dead: Annotated[list[str] | None, DEAD] = None,
    restart: Annotated[list[str] | None, RESTART] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Import the log of a real hub as a trace: `heartbench tune DIR` judges it.

    Recognises its format by its content; docs/logs.md says how to make each
    log, and what it can and cannot show. TIME is ISO 8601 (without a zone: UTC), Unix
    time in s, or as the command prints it: s since the first second of the log.
    """
    from heartbench.analysis.imports import import_log

    options = log_options(
        format=format_,
        time=time,
        node=node,
        sent=sent,
        sequence=sequence,
        boot=boot,
        kind=kind,
        time_unit=time_unit,
        interval=interval,
        marked_after=marked_after,
        hub_down=hub_down,
        dead=dead,
        restart=restart,
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
    lines += [*record.notes, DEATHS]
    for line in lines:
        console().print(line, soft_wrap=True)
    print(f"Wrote {out}")


def number(value: float) -> str:
    """Return a time in s, to the millisecond."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
