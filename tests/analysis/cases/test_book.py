"""The casebook holds what it says: each case shows its finding, and no longer once it is mended."""

import re

import pytest

from heartbench.analysis.cases import CASES, load_case, run_case


def test_there_are_at_least_ten_cases_each_of_another_source() -> None:
    sources = [load_case(name).source for name in CASES.names()]
    assert len(set(sources)) == len(sources) >= 10


@pytest.mark.parametrize("name", CASES.names())
def test_a_case_shows_its_finding_until_it_is_mended(name: str) -> None:
    case = load_case(name)
    assert run_case(case).shown
    assert not run_case(case, mended=True).shown


def test_a_case_names_the_thread_it_is_from() -> None:
    for name in CASES.names():
        assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", load_case(name).source)
