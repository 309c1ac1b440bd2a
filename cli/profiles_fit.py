"""`heartbench profiles fit` and `heartbench profiles compare`: from ping logs to a profile, and two networks beside."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heartbench.cli.errors import CommandError
from heartbench.cli.output import check_distinct, check_output, print_json, print_table, write_whole

if TYPE_CHECKING:
    from heartbench.analysis.fit import Estimate, Fit
    from heartbench.simulator.recordings import Columns

CAPTION = (
    "In brackets: intervals. Without one, a figure of a log, or of a profile with observed outages, is not compared."
)
FORMATS = (".png", ".svg", ".pdf")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Log = Annotated[list[Path], typer.Argument(metavar="LOG...", help="Logs of one network: ping, fping, CSV and others.")]
TimeColumn = Annotated[str | None, typer.Option(metavar="NAME", help="CSV: column of the time when a probe left.")]
RttColumn = Annotated[str | None, typer.Option(metavar="NAME", help="CSV: column of the round trip; empty: lost.")]
AnsweredColumn = Annotated[str | None, typer.Option(metavar="NAME", help="CSV: column of the time of the answer.")]
LossColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="CSV: column of the share lost, in percent, if a row is a round of probes."),
]
TimeUnit = Annotated[str, typer.Option(metavar="UNIT", help="CSV: unit of times that are numbers: s, ms, us or ns.")]
RttUnit = Annotated[str, typer.Option(metavar="UNIT", help="CSV: unit of the round trip.")]


def fit(
    logs: Log,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Profile to write, TOML.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Plot to write: PNG, SVG or PDF.")] = None,
    parquet: Annotated[
        Path | None, typer.Option("--recording", metavar="FILE", help="All probes to write, as one log in Parquet.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    time_column: TimeColumn = None,
    rtt_column: RttColumn = None,
    answered_column: AnsweredColumn = None,
    loss_column: LossColumn = None,
    time_unit: TimeUnit = "s",
    rtt_unit: RttUnit = "ms",
    json: Json = False,
) -> None:
    """Fit a profile to the ping logs of one network.

    Prints what was found with intervals, what was assumed, and what the logs
    cannot say. Several logs are several times of one network; the time between
    them was not observed. Formats are recognised by their content. The file of
    --recording is read wherever a log is, without the names of columns.
    """
    from heartbench.analysis.fit import fit_recording
    from heartbench.analysis.fit.text import profile_toml
    from heartbench.simulator.recordings import read_recording, write_recording

    if plot is not None and plot.suffix not in FORMATS:
        raise CommandError(f"--plot: {plot}: must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    named = (("--out", out), ("--plot", plot), ("--recording", parquet))
    outputs = {option: path for option, path in named if path is not None}
    check_distinct(outputs, logs)
    for option, path in outputs.items():
        check_output(path, option)
        _check_new(path, option, force)
    columns = _columns(time_column, rtt_column, answered_column, loss_column, time_unit, rtt_unit)
    recording = read_recording(logs, columns)
    found = fit_recording(recording)
    if plot is not None:
        from heartbench.analysis.report.fit_plots import save_fit_plot

        save_fit_plot(recording, found, plot)
    if parquet is not None:
        write_recording(recording, parquet)
    if out is not None:
        write_whole(out, profile_toml(found))
    if json:
        print_json(contract(found))
    else:
        _print(found, out)


def _check_new(path: Path, option: str, force: bool) -> None:
    if path.is_file() and not force:
        raise CommandError(f"{option}: {path}: exists; choose another name, or add --force to overwrite it")


def _columns(
    time: str | None, rtt: str | None, answered: str | None, loss: str | None, time_unit: str, rtt_unit: str
) -> "Columns | None":
    from heartbench.simulator.recordings import Columns

    if time is None:
        if (rtt, answered, loss) != (None, None, None):
            raise CommandError("--time-column: is missing; a CSV log needs it with the names of other columns")
        return None
    if (rtt is None) == (answered is None):
        raise CommandError("--time-column: needs either --rtt-column or --answered-column")
    return Columns(time=time, rtt=rtt, answered=answered, loss=loss, time_unit=time_unit, rtt_unit=rtt_unit)


def contract(found: "Fit") -> dict[str, Any]:
    """Return the JSON of a fit, `heartbench.fit/1`."""
    return {
        "schema": "heartbench.fit/1",
        "profile": found.profile.to_data(),
        "probes": found.probes,
        "lost": found.lost,
        "hours": found.hours,
        "outages": [asdict(each) for each in found.outages],
        "parameters": {name: parameter(each) for name, each in found.parameters.items()},
        "warnings": list(found.warnings),
    }


def parameter(estimate: "Estimate") -> dict[str, Any]:
    """Return the JSON of an estimate."""
    return {"value": estimate.value, "ci": estimate.ci}


def _print(found: "Fit", out: Path | None) -> None:
    from heartbench.analysis.fit.labels import label_of
    from heartbench.analysis.fit.model import FAMILY_LEVEL

    labels = {name: label_of(name) for name in found.parameters}
    rows = [
        (labels[name].full, labels[name].write(each.value), labels[name].interval(each))
        for name, each in found.parameters.items()
        if each.value is not None
    ]
    title = f"{found.source}: {found.probes:,} probes in {found.hours:.4g} h, {found.lost:,} lost"
    held = sum(each.kind == "hold" for each in found.outages)
    caption = (
        f"Outages of {found.from_s:.3g} s or more: {len(found.outages)}"
        + (f", {held} of them held" if held else "")
        + f". All intervals together: {FAMILY_LEVEL:.0%}."
    )
    print_table(title, ["", "fitted", "interval"], rows, caption)
    print(*(f"- {warning}" for warning in found.warnings), sep="\n")
    print(f"\n{out}" if out else "\n`-o FILE` writes the profile, `--plot FILE` shows the log against it.")


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Profile (name or TOML file) or log.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Profile (name or TOML file) or log.")],
    json: Json = False,
) -> None:
    """Lay two networks side by side: profiles, or logs, which are fitted first."""
    from heartbench.analysis.fit.compare import network, side_by_side
    from heartbench.analysis.fit.labels import label_of

    rows = side_by_side(network(first), network(second))
    if json:
        print_json(
            {
                "schema": "heartbench.comparison/1",
                "a": first,
                "b": second,
                "parameters": {
                    name: {"a": parameter(a), "b": parameter(b), "differ": differ} for name, a, b, differ in rows
                },
            }
        )
        return
    shown = []
    for name, a, b, differ in rows:
        label = label_of(name)
        cells = [
            f"{label.write(each.value)} ({label.interval(each)})" if each.ci else label.write(each.value)
            for each in (a, b)
        ]
        shown.append((label.full, *cells, "" if differ is None else "differ" if differ else "agree"))
    print_table("", ["", Path(first).name, Path(second).name, ""], shown, CAPTION)
