"""The connections that the tests try on new links, how much repeated runs of them differ, and the bound from that.

    python -m tests.simulator.kernel_spread [--runs 10] [--out FOLDER]

runs all of them that often, prints how many differ in each run, and with --out writes repeated.csv, one row per
connection and run.

The bound on the connections that may differ: those that differed in every recorded run, and of the others as many as
the next run exceeds with a probability of 0.1%. Their number in a run is taken as Poisson, its rate as what the
recorded runs leave of Jeffreys' prior: Gamma(differences + 1/2, runs). So the number in the next run is negative
binomial (Gelman et al., Bayesian Data Analysis, 2.6). A connection differs once in a run at most, which makes the
Poisson spread the wider one.
"""

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

from scipy.stats import nbinom
from tests.simulator.kernel_case import Case, Seen
from tests.simulator.kernel_families import draw_cases
from tests.simulator.kernel_figures import outcomes, write_conditions, write_rows
from tests.simulator.kernel_ladder import (
    Comparison,
    ask_kernel,
    judge,
    model_outcomes,
    seen_outcome,
    tick_phases,
    why_not,
)

TRIED = {"jitter": 40, "fast": 20, "loss": 40, "chunks": 30, "bulk": 20}  # connections
SEED = 2  # the figures in the docs have another
RECORDED = Path(__file__).parents[2] / "results/reference/tcp-model/repeated.csv"
EXCEEDED = 0.001


@dataclass(frozen=True, slots=True)
class Trial:
    """A connection as the kernel had it, and the phases that its ticks may have had."""

    case: Case
    seen: Seen
    phases: Sequence[float]

    def compare(self) -> Comparison:
        """Run the model on it."""
        return judge(self.case, self.seen, self.phases)

    def difference(self) -> float:
        """Return how far the model's gap is from the kernel's, as a part of it, with the link as it was."""
        models = islice(model_outcomes(self.case, self.seen, self.phases), len(self.phases))
        kernel = seen_outcome(self.case, self.seen)
        return min(abs(model.gap_s / kernel.gap_s - 1.0) for model in models)


def drawn() -> dict[str, list[Case]]:
    """Return the connections that are tried, by family."""
    return {family: draw_cases(family, count, SEED) for family, count in TRIED.items()}


def try_all(cases: Mapping[str, Sequence[Case]]) -> dict[str, list[Trial]]:
    """Run the connections of all families on the kernel at once: they mostly wait."""
    phases = tick_phases()
    seen = iter(ask_kernel([case for some in cases.values() for case in some]))
    return {family: [Trial(case, next(seen), phases) for case in some] for family, some in cases.items()}


def most_differences(differed: Sequence[set[int]]) -> int:
    """Return how many connections may differ in a run after runs in which those of `differed` did."""
    always = set.intersection(*differed)
    others = sum(len(run - always) for run in differed)
    runs = len(differed)
    return len(always) + int(nbinom.ppf(1.0 - EXCEEDED, others + 0.5, runs / (runs + 1.0)))


def recorded(family: str) -> list[set[int]]:
    """Return the numbers of the connections that differed, run by run."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["family"] == family]
    runs = sorted({int(row["run"]) for row in rows})
    return [
        {int(row["connection"]) for row in rows if int(row["run"]) == run and row["agrees"] == "no"} for run in runs
    ]


def _rows(run: int, family: str, found: Sequence[Comparison]) -> list[dict[str, object]]:
    return [
        {"family": family, "connection": number, "run": run, **outcomes(each), "agrees": each.agrees}
        for number, each in enumerate(found)
    ]


def _print(family: str, runs: Sequence[Sequence[Comparison]]) -> None:
    differed = [{number for number, each in enumerate(run) if each.agrees == "no"} for run in runs]
    pairs = [one.kernel.agrees(other.kernel) for a, b in combinations(runs, 2) for one, other in zip(a, b, strict=True)]
    often = Counter(number for run in differed for number in run)
    print(f"{family}: of {len(runs[0])} differ, run by run: {' '.join(str(len(run)) for run in differed)}")
    print(f"  in every run: {sum(count == len(runs) for count in often.values())}, ever: {len(often)}")
    if pairs:
        print(f"  two runs of the kernel differ in {1.0 - sum(pairs) / len(pairs):.1%} of the connections")
    print(f"  bound: {most_differences(differed)}")


def main() -> None:
    """Run the connections of the tests again and again."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write repeated.csv and repeated.json")
    chosen = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    found: dict[str, list[list[Comparison]]] = {family: [] for family in TRIED}
    for run in range(chosen.runs):
        for family, trials in try_all(drawn()).items():
            found[family].append([trial.compare() for trial in trials])
        print(f"run {run + 1} of {chosen.runs}", file=sys.stderr)
    for family, runs in found.items():
        _print(family, runs)
    if chosen.out:
        rows = [
            row
            for family, runs in found.items()
            for run, each in enumerate(runs, 1)
            for row in _rows(run, family, each)
        ]
        write_rows(chosen.out / RECORDED.name, rows)
        more = {"seed": SEED, "connections": TRIED, "runs": chosen.runs}
        write_conditions(chosen.out / "repeated.json", "tests.simulator.kernel_spread", more)


if __name__ == "__main__":
    main()
