"""`heartbench cases`: list published incidents, show one, run one or all, or find the one that a run is like."""

from pathlib import Path
from typing import Annotated

import typer

from heartbench.analysis.cases import CASES, Case, Outcome, load_case, run_case
from heartbench.analysis.cases.measures import MEASURES
from heartbench.analysis.cases.run import settings_text, text_of
from heartbench.cli.errors import CommandError
from heartbench.cli.goal_options import NOW
from heartbench.cli.log_options import NODE, SENT, TIME, as_trace, log_options, positive
from heartbench.cli.output import console, print_json, print_table, progress

cases = typer.Typer(
    invoke_without_command=True, help="The casebook: published incidents as scenarios, and the settings that mend them."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
BEST = 3
"""Cases that `match` prints; JSON has all."""
LIKE = 0.5
"""Least likeness at which `match` sends its user to a case: a convention."""
CaseName = Annotated[str, typer.Argument(metavar="CASE", help="Name of a shipped case, or the path of a TOML file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario, such as seed=3.")
]
Mended = Annotated[bool, typer.Option("--mended", help="With the mending settings in place of the broken ones.")]


@cases.callback()
def list_by_default(context: typer.Context, json: Json = False) -> None:
    """List the cases if there is no subcommand."""
    if context.invoked_subcommand is None:
        list_cases(json)
    elif json:
        raise CommandError(f"--json: must follow {context.invoked_subcommand}")


@cases.command("list")
def list_cases(json: Json = False) -> None:
    """List the cases."""
    loaded = [load_case(name) for name in CASES.names()]
    if json:
        briefs = [{"name": case.name, "source": case.source, "finding": _line(case.finding)} for case in loaded]
        print_json({"schema": "heartbench.cases/1", "cases": briefs})
        return
    rows = [(case.name, case.title) for case in loaded]
    print_table("", ["case", "incident"], rows, "`heartbench cases run CASE` simulates one; docs/casebook.md has all.")


@cases.command()
def show(case: CaseName, mended: Mended = False, overrides: Overrides = None) -> None:
    """Print the scenario of a case as TOML that `heartbench run` accepts."""
    print(load_case(case).scenario_with(mended=mended, overrides=overrides or ()).to_toml(), end="")


@cases.command()
def run(case: CaseName, mended: Mended = False, overrides: Overrides = None, json: Json = False) -> int:
    """Simulate a case, and say whether it shows its finding.

    Exit status 1: the finding is not shown. With --mended it should not be.
    """
    loaded = load_case(case)
    outcome = run_case(loaded, mended=mended, overrides=overrides or ())
    if json:
        print_json({"schema": "heartbench.case-run/1", **_record(outcome, mended)})
    else:
        _print_outcome(loaded, outcome, mended)
    return 0 if outcome.shown else 1


@cases.command("all")
def run_all(json: Json = False) -> int:
    """Run every case with its broken and with its mending settings.

    Exit status 1: a finding is not shown, or is still shown when it is mended.
    """
    loaded = [load_case(name) for name in CASES.names()]
    pairs = []
    with progress("Running cases", len(loaded)) as advance:
        for case in loaded:
            pairs.append((run_case(case), run_case(case, mended=True)))
            advance(1)
    holds = [broken.shown and not mended.shown for broken, mended in pairs]
    if json:
        both = [{"broken": _record(broken, False), "mended": _record(mended, True)} for broken, mended in pairs]
        print_json({"schema": "heartbench.case-runs/1", "cases": both})
    else:
        _print_all(pairs, holds)
    return 0 if all(holds) else 1


@cases.command()
def match(
    source: Annotated[Path, typer.Argument(metavar="RUN_DIR|LOG", help="Run, trace, import or log, as for `tune`.")],
    now: Annotated[str | None, NOW] = None,
    time: Annotated[str | None, TIME] = None,
    node: Annotated[str | None, NODE] = None,
    sent: Annotated[str | None, SENT] = None,
    json: Json = False,
) -> None:
    """Rank the cases by likeness to the gaps of a run or a log, and say why."""
    from heartbench.analysis.cases.match import match as rank
    from heartbench.analysis.cases.match import signature_at

    now_s = positive(now, "--now")
    options = log_options(time=time, node=node, sent=sent)
    with progress("Running cases", len(CASES.names())) as advance, as_trace(source, options) as trace:
        seen = signature_at(trace, now_s)
        found = rank(seen, advance)
    nothing = seen.nothing_to_explain()
    if json:
        ranked = [
            {"name": each.case.name, "likeness": each.likeness, "alike": each.alike, "unlike": each.unlike}
            for each in found
        ]
        print_json({"schema": "heartbench.case-match/1", "nothing_to_explain": nothing, "matches": ranked})
        return
    out = console()
    if nothing:
        out.print(f"{nothing}\n")
    for each in found[:BEST]:
        out.print(f"{each.likeness:.2f}  {each.case.name}: {each.case.title}")
        for label, reasons in (("alike", each.alike), ("unlike", each.unlike)):
            for reason in reasons:
                out.print(f"      {label + ':':8}{reason}")
    if found[0].likeness < LIKE:
        out.print("\nNone is much like it.")
    else:
        shows = "that incident" if nothing else "what mends it"
        out.print(f"\n`heartbench cases run {found[0].case.name}` shows {shows}.")


def _print_all(pairs: list[tuple[Outcome, Outcome]], holds: list[bool]) -> None:
    columns = ["case", "deciding figure", "at least", "broken", "mended", "p99 detection\nbroken", "mended", "holds"]
    rows = [
        (
            broken.case.name,
            MEASURES[broken.case.figure.measure].meaning,
            f"{broken.case.figure.at_least:g}",
            text_of(broken.figure),
            text_of(mended.figure),
            f"{text_of(broken.detection_p99_s)} s",
            f"{text_of(mended.detection_p99_s)} s",
            "yes" if held else "NO",
        )
        for (broken, mended), held in zip(pairs, holds, strict=True)
    ]
    print_table("", columns, rows)


def _print_outcome(case: Case, outcome: Outcome, mended: bool) -> None:
    """Print what happened, what was found, and what mends it."""
    out = console()
    out.print(f"{case.title} ({case.source})\n")
    for label, text in (
        ("Happened", case.happened),
        ("Finding", case.finding),
        ("Run with", settings_text(case, mended=mended)),
        ("Figure", _verdict(outcome)),
        ("Mended by", f"{settings_text(case, mended=True)}. {case.mended_by}"),
        ("Assumed", case.assumed),
    ):
        out.print(f"{label + ':':10} {_line(text)}")


def _verdict(outcome: Outcome) -> str:
    """Return the figure, its limit and what follows, in words."""
    figure = outcome.case.figure
    shown = "the finding is shown" if outcome.shown else "the finding is not shown"
    meaning = MEASURES[figure.measure].meaning
    return f"{text_of(outcome.figure)} {meaning} (limit: at least {figure.at_least:g}): {shown}"


def _record(outcome: Outcome, mended: bool) -> dict[str, object]:
    """Return an outcome for JSON."""
    case = outcome.case
    return {
        "name": case.name,
        "source": case.source,
        "finding": _line(case.finding),
        "mended": mended,
        "settings": {each.key: each.mending if mended else each.broken for each in case.setting},
        "measure": case.figure.measure,
        "figure": outcome.figure,
        "at_least": case.figure.at_least,
        "shown": outcome.shown,
        "detection_p99_s": outcome.detection_p99_s,
    }


def _line(text: str) -> str:
    """Return a text of several lines as one."""
    return " ".join(text.split())
