"""`heartbench ladder`: the gap at the hub that an outage of a given length causes."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartbench.cli.errors import CommandError
from heartbench.cli.output import check_output, print_json, print_table

if TYPE_CHECKING:
    import pandas as pd

PLOT_POINTS = 121
FORMATS = (".svg", ".png", ".pdf")


def ladder(
    rtt: Annotated[str, typer.Option(metavar="DURATION", help="Round-trip time of the link.")] = "85ms",
    interval: Annotated[str, typer.Option(metavar="DURATION", help="Time between two heartbeats.")] = "10s",
    outages: Annotated[
        str, typer.Option(metavar="DURATION,…", help="Lengths of the outage.")
    ] = "2s,6s,10s,15s,20s,25s,40s",
    phases: Annotated[
        str, typer.Option(metavar="PHASE,…", help="Start of the outage within the heartbeat interval, 0 to 1.")
    ] = "0.2,0.5,0.95",
    warmup: Annotated[int, typer.Option(help="Number of acknowledged heartbeats before the outage.")] = 14,
    user_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="TCP_USER_TIMEOUT at both ends; 0s: off.")
    ] = "0s",
    stale_after: Annotated[str, typer.Option(metavar="DURATION", help="Stale threshold to show in the plot.")] = "30s",
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a plot: .svg, .png or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the gap that an outage causes: the TCP model alone, on a link without loss or jitter."""
    import numpy as np

    from heartbench.analysis.ladder import Ladder
    from heartbench.simulator.units import parse_duration

    stale_after_s = parse_duration(stale_after, "--stale-after")
    outages_s = list(dict.fromkeys(parse_duration(part, "--outages") for part in outages.split(",")))
    at = list(dict.fromkeys(_phase(part) for part in phases.split(",")))
    if plot is not None:
        _check_plot(plot, stale_after_s)
    model = Ladder(
        parse_duration(rtt, "--rtt"),
        parse_duration(interval, "--interval"),
        warmup,
        parse_duration(user_timeout, "--user-timeout"),
    )
    rows = model.rows(outages_s, at)
    if plot is not None:
        sweep = model.rows([float(x) for x in np.linspace(0, max(outages_s) or 1.0, PLOT_POINTS)], at)
        _draw(sweep, stale_after_s, plot)
    if as_json:
        print_json({"schema": "heartbench.ladder/1", "rto_s": model.rto_s(), "rows": rows.to_dict("records")})
        return
    table = rows.pivot(index="outage_s", columns="phase", values="gap_s")
    columns = ["outage", *(f"begins at {phase:g} of the interval" for phase in table.columns)]
    cells = [[f"{outage:g} s", *map(_gap_text, gaps)] for outage, *gaps in table.itertuples()]
    print_table(
        "Longest gap between messages at the hub", columns, cells, f"RTO before the outage: {model.rto_s():.3f} s"
    )
    if plot is not None:
        print(plot)


def _check_plot(path: Path, stale_after_s: float) -> None:
    """Raise an error for a plot that cannot be written, before the simulation."""
    if path.suffix.lower() not in FORMATS:
        raise CommandError(f"--plot: {path}: must be a file that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    check_output(path, "--plot")
    if not stale_after_s:
        raise CommandError("--stale-after: 0 s: must be longer than 0 with --plot")


def _phase(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise CommandError(f"--phases: {text!r}: must be a number between 0 and 1") from error


def _gap_text(gap_s: float) -> str:
    return "never" if isnan(gap_s) else f"{gap_s:.1f} s"


def _draw(sweep: "pd.DataFrame", stale_after_s: float, path: Path) -> None:
    from heartbench.analysis.report.ladder import plot_ladder
    from heartbench.analysis.report.style import save

    try:
        save(plot_ladder(sweep, stale_after_s), path)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise CommandError(f"--plot: {path}: {reason or str(error).splitlines()[0]}") from error
