"""The casebook: published incidents as scenarios, what each must show, and the settings that mend it."""

from heartbench.analysis.cases.case import CASES, Case, load_case
from heartbench.analysis.cases.run import Outcome, run_case

__all__ = ["CASES", "Case", "Outcome", "load_case", "run_case"]
