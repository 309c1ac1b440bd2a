"""The figures behind docs/tcp-model.md: what each connection did on the kernel and on the model.

    python -m tests.simulator.kernel_figures [--family loss] [--connections 60] [--seed 1] [--out FOLDER]

prints how many connections of each family agree, and with --out writes FAMILY.csv, one row per connection, and the
conditions of the run.
"""

import argparse
import csv
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path

import numpy as np
from tests.simulator.kernel_families import TABLE, draw_cases
from tests.simulator.kernel_ladder import Comparison, Outcome, compare, why_not

from heartbench.benchmarks.provenance import cpu

CONNECTIONS = {
    "table": len(TABLE),
    "random": 300,
    "jitter": 100,
    "fast": 60,
    "loss": 200,
    "chunks": 60,
    "bulk": 60,
}

Row = Mapping[str, object]


def row(found: Comparison) -> dict[str, object]:
    """Return the parameters of a connection and its outcomes, in s; empty: it did not close, or had no gap."""
    return {**asdict(found.case), **outcomes(found), "agrees": found.agrees}


def outcomes(found: Comparison) -> dict[str, object]:
    """Return what the kernel and the model did, rounded to µs."""
    kernel, model = (_cells(who, each) for who, each in (("kernel", found.kernel), ("model", found.model)))
    return kernel | model


def _cells(who: str, outcome: Outcome) -> dict[str, object]:
    return {f"{who}_{name}": "" if isnan(value) else round(value, 6) for name, value in asdict(outcome).items()}


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a CSV file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_conditions(path: Path, module: str, more: Mapping[str, object]) -> None:
    """Write what made the figures beside them."""
    conditions = {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        **more,
        "kernel": platform.release(),
        "cpu": cpu(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "when": time.strftime("%Y-%m-%d"),
        "load_average": round(os.getloadavg()[1], 1),
    }
    path.write_text(json.dumps(conditions, indent=1) + "\n", encoding="utf-8")


def _print(family: str, found: Sequence[Comparison]) -> None:
    for each in found:
        if each.agrees == "no":
            print(f"differs: {each.case}\n  kernel {each.kernel}\n  model  {each.model}")
    off = np.array([abs(each.model.gap_s / each.kernel.gap_s - 1.0) for each in found])
    off = off[~np.isnan(off)]
    unmoved, told = (sum(each.agrees in kinds for each in found) for kinds in (("yes",), ("yes", "moved")))
    print(f"{family}: {told} of {len(found)} connections agree, {unmoved} of them with the link as it was")
    print(
        f"  of {len(off)} gaps: {np.mean(off < 0.02):.1%} within 2%, {np.mean(off < 0.07):.1%} within 7%; "
        f"median difference {np.median(off):.2%}"
    )


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--family", choices=list(CONNECTIONS), action="append", help="one kind of connection; default all"
    )
    parser.add_argument("--connections", type=int, help="connections of each family")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write FAMILY.csv and conditions.json")
    chosen = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    counts = {family: chosen.connections or CONNECTIONS[family] for family in chosen.family or CONNECTIONS}
    for family, count in counts.items():
        found = compare(draw_cases(family, count, chosen.seed))
        _print(family, found)
        if chosen.out:
            write_rows(chosen.out / f"{family}.csv", [row(each) for each in found])
    if chosen.out:
        more = {"seed": chosen.seed, "connections": counts}
        write_conditions(chosen.out / "conditions.json", "tests.simulator.kernel_figures", more)


if __name__ == "__main__":
    main()
