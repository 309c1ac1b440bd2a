"""`python -m heartbench.benchmarks.suites`: what `make bench` runs."""

import argparse
import sys
import time
from pathlib import Path

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.suites.page import page
from heartbench.benchmarks.suites.results import missing, read_results
from heartbench.benchmarks.suites.run import SUITES, draw, measure


def main() -> int:
    """Measure, draw and write the page; return 1 if a suite failed, 2 if the results are incomplete."""
    parser = argparse.ArgumentParser(prog="python -m heartbench.benchmarks.suites", description=__doc__)
    parser.add_argument("suite", nargs="*", help=f"any of {', '.join(SUITES)}; default: all")
    parser.add_argument("--out", type=Path, default=Path("results/latest"), help="directory of the results")
    parser.add_argument("--page", type=Path, help="file of the page; default: README.md in that directory")
    parser.add_argument("--draw", action="store_true", help="only draw plots, tables and page from existing results")
    chosen = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:5.0f} s  {text}\n")

    try:
        unknown = set(chosen.suite) - set(SUITES)
        if unknown:
            raise BenchmarkError(f"suite {min(unknown)!r}: unknown; allowed: {', '.join(SUITES)}")
        failed = [] if chosen.draw else measure(chosen.out, chosen.suite or list(SUITES), say)
        if chosen.suite and missing(chosen.out):
            say(f"no page yet; not measured: {', '.join(missing(chosen.out))}")
        else:
            results, at = read_results(chosen.out), chosen.page or chosen.out / "README.md"
            draw(results)
            at.write_text(page(results, at), "utf-8")
            say(f"written: {at}")
    except (BenchmarkError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
