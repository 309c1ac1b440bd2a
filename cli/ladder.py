"""`heartbench ladder`: what gap does an outage of so many seconds make?"""

from collections.abc import Iterable
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
        str, typer.Option(metavar="PHASE,…", help="Where in the interval after a heartbeat it begins, 0 to 1.")
    ] = "0.2,0.5,0.95",
    warmup: Annotated[int, typer.Option(help="Heartbeats that are acknowledged before it.")] = 14,
    user_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="TCP_USER_TIMEOUT at both ends; 0s: none.")
    ] = "0s",
    stale_after: Annotated[str, typer.Option(metavar="DURATION", help="Threshold to draw into the plot.")] = "30s",
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it: .svg, .png or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what gap an outage of so many seconds makes: the stream model alone, on a plain link."""
    import numpy as np

    from heartbench.analysis.ladder import Ladder
    from heartbench.simulator.units import parse_duration

    stale_after_s = parse_duration(stale_after, "--stale-after")
    outages_s = each_once(parse_duration(part, "--outages") for part in outages.split(","))
    at = each_once(_phase(part) for part in phases.split(","))
    if plot is not None:
        _check_plot(plot, stale_after_s)
    asked = Ladder(
        parse_duration(rtt, "--rtt"),
        parse_duration(interval, "--interval"),
        warmup,
        parse_duration(user_timeout, "--user-timeout"),
    )
    rows = asked.rows(outages_s, at)
    if plot is not None:
        sweep = asked.rows([float(x) for x in np.linspace(0, max(outages_s) or 1.0, PLOT_POINTS)], at)
        _draw(sweep, stale_after_s, plot)
    if as_json:
        print_json({"schema": "heartbench.ladder/1", "rto_s": asked.rto_s(), "rows": rows.to_dict("records")})
        return
    table = rows.pivot(index="outage_s", columns="phase", values="gap_s")
    columns = ["outage", *(f"begins at {phase:g} of the interval" for phase in table.columns)]
    cells = [[f"{outage:g} s", *map(_gap_text, gaps)] for outage, *gaps in table.itertuples()]
    print_table("Longest gap between signs of life at the hub", columns, cells, f"RTO before it: {asked.rto_s():.3f} s")
    if plot is not None:
        print(plot)


def each_once(values: Iterable[float]) -> list[float]:
    """The values in their order, without those that were there before."""
    return list(dict.fromkeys(values))


def _check_plot(path: Path, stale_after_s: float) -> None:
    """Refuse what cannot be drawn, before the work for it is done."""
    from heartbench.cli.errors import CommandError

    if path.suffix.lower() not in FORMATS:
        raise CommandError(f"--plot: {path}: must be a file that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    check_output(path, "--plot")
    if not stale_after_s:
        raise CommandError("--stale-after: 0 s: must be longer than 0 to be drawn")


def _phase(text: str) -> float:
    from heartbench.cli.errors import CommandError

    try:
        return float(text)
    except ValueError as error:
        raise CommandError(f"--phases: {text!r}: must be a number between 0 and 1") from error


def _gap_text(gap_s: float) -> str:
    return "not heard again" if isnan(gap_s) else f"{gap_s:.1f} s"


def _draw(sweep: "pd.DataFrame", stale_after_s: float, path: Path) -> None:
    from heartbench.analysis.report.ladder import plot_ladder
    from heartbench.analysis.report.style import save
    from heartbench.cli.errors import CommandError

    try:
        save(plot_ladder(sweep, stale_after_s), path)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise CommandError(f"--plot: {path}: {reason or str(error).splitlines()[0]}") from error
