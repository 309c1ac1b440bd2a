import math

import pytest

from heartbench.analysis.report.units import digits, memory_text, share_text, time_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1,200"), (12.34, "12"), (0.0999, "0.10"), (0.012, "0.012"), (3.0, "3.0"), (math.nan, "–")],
)
def test_a_figure_has_two_digits_and_no_powers_of_ten(value: float, text: str) -> None:
    assert digits(value) == text


def test_units_suit_the_size() -> None:
    assert [time_text(each) for each in (2.0, 0.0123, 5e-7)] == ["2.0 s", "12 ms", "0.50 µs"]
    assert [memory_text(each) for each in (2**31, 3 * 2**20, 2048)] == ["2.0 GiB", "3.0 MiB", "2.0 KiB"]
    assert share_text(0.5) == "50%"


def test_a_mark_says_how_a_figure_is_known() -> None:
    assert time_text(1.0, "m") == "1.0 s<sup>m</sup>"
