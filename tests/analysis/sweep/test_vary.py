import pytest

from heartbench.analysis import AnalysisError
from heartbench.analysis.sweep import parse_seeds, parse_vary


@pytest.mark.parametrize(
    ("text", "values", "column", "levels"),
    [
        ("hub.stale_after_s=30,60", ("30", "60"), "hub.stale_after_s", [30, 60]),
        (
            "group.edge.keepalive_time=0s, 30s,2m",
            ("0s", "30s", "2m"),
            "group.edge.keepalive_time_s",
            [0.0, 30.0, 120.0],
        ),
        ("group.*.heartbeat_interval=0,5s", ("0", "5s"), "group.*.heartbeat_interval_s", [0.0, 5.0]),
        (
            "hub.detector=fixed,phi threshold=8",
            ("fixed", "phi threshold=8"),
            "hub.detector",
            ["fixed", "phi threshold=8"],
        ),
        ("group.a.link=../a.log,../b.log", ("../a.log", "../b.log"), "group.a.link", ["../a.log", "../b.log"]),
        ("group.a.nodes=10..30:3", ("10", "20", "30"), "group.a.nodes", [10, 20, 30]),
        ("k=0..1:3", ("0", "0.5", "1"), "k", [0.0, 0.5, 1.0]),
        ("k=-1..-3:3", ("-1", "-2", "-3"), "k", [-1, -2, -3]),
        ("k=30s..2m:4", ("30s", "1m", "90s", "2m"), "k_s", [30.0, 60.0, 90.0, 120.0]),
        ("k=0s..100ms:3", ("0s", "50ms", "100ms"), "k_s", [0.0, 0.05, 0.1]),
    ],
)
def test_what_varies_has_texts_and_a_typed_column(
    text: str, values: tuple[str, ...], column: str, levels: list[object]
) -> None:
    found = parse_vary(text)
    assert (found.values, found.column, found.levels) == (values, column, levels)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("30s,60s", "expected KEY=V1,V2,... or KEY=FROM..TO:STEPS"),
        ("a..b=1", "expected KEY=V1,V2"),
        ("k=1,,2", "a value is empty"),
        ("k=", "a value is empty"),
        ("k=1,2,1", "1 comes twice"),
        ("k=1..2:1", "1 values; expected 2 to 10,000"),
        ("k=1..2:999999999", "999999999 values; expected 2 to 10,000"),
        ("k=a..b:3", "expected two numbers or two durations, such as 30s..120s:4"),
        ("k=1..1:2", "1 comes twice"),
        ("seed=1,2", "expected the seeds in --seeds"),
    ],
)
def test_what_cannot_be_varied_is_an_error_of_one_line(text: str, reason: str) -> None:
    with pytest.raises(AnalysisError) as error:
        parse_vary(text)
    assert str(error.value).startswith("--vary")
    assert reason in str(error.value)


def test_seeds_are_a_range_or_a_list() -> None:
    assert parse_seeds("1..3") == (1, 2, 3)
    assert parse_seeds("7,1") == (7, 1)
    assert parse_seeds("4") == (4,)


@pytest.mark.parametrize("text", ["", "3..1", "1..", "1,1", "x", "-1", "0..99999999", str(2**63), "1..5:2"])
def test_other_seeds_are_an_error_of_one_line(text: str) -> None:
    with pytest.raises(AnalysisError, match=r"^--seeds: .*: expected different seeds"):
        parse_seeds(text)
