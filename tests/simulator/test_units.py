import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.units import format_duration, parse_duration, parse_rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("10m", 600.0),
        ("24h", 86400.0),
        ("85ms", 0.085),
        ("2d", 172800.0),
        ("1h30m", 5400.0),
        (" 1.5 s ", 1.5),
        ("0", 0.0),
        (3, 3.0),
        (0.25, 0.25),
        ("1w", 604800.0),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "10 parsecs",
        "",
        "s",
        "-5s",
        "-1",
        "nan",
        "inf",
        "1e400s",
        "1.7e308s1.7e308s",
        "1e308w",
        "5 s 3",
        "1/s",
        "0x10s",
        True,
    ],
)
def test_what_is_no_duration_is_refused_in_one_line_with_its_key(text: str) -> None:
    with pytest.raises(SimulatorError) as refusal:
        parse_duration(text, "--duration")
    message = str(refusal.value)
    assert message.startswith(f'--duration: "{text}" is not a duration; expected ')
    assert "\n" not in message


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_formatted_duration_reads_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["85ms", "33.5ms", "1s", "2.5s", "90s", "2m", "10m", "1h", "24h", "2d", "7d", "0s", "100.5s", "36h"]
)
def test_a_duration_is_formatted_as_people_write_it(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


def test_rates_are_per_node_day() -> None:
    assert parse_rate("1/node-week") == 1 / 7
    assert parse_rate("0.5/node-day") == 0.5
    assert math.isclose(parse_rate("3 / node-hour"), 72)


@pytest.mark.parametrize("text", ["0/node-day", "0.0/node-week"])
def test_a_rate_of_0_cannot_be_shown_and_is_refused(text: str) -> None:
    with pytest.raises(SimulatorError) as refusal:
        parse_rate(text, "--max-false-stale")
    assert str(refusal.value) == f"--max-false-stale: {text}: must be above 0: no observation shows a rate of 0"


@pytest.mark.parametrize("text", ["1/fortnight", "1/node-parsec", "-1/node-day", "node-day", "1e999/node-day", ""])
def test_what_is_no_rate_is_refused_in_one_line_with_its_key(text: str) -> None:
    with pytest.raises(SimulatorError) as refusal:
        parse_rate(text, "--max-false-stale")
    assert str(refusal.value).startswith(f'--max-false-stale: "{text}" is not a rate; expected ')
