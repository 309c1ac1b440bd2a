import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link import JITTER_Z, OUTAGE_E
from heartbench.simulator.profile import PROFILES, Outages, Profile, Tail, load_profile
from heartbench.simulator.tomlfile import parse_toml, validate

MINIMAL = '[up]\nbase_delay = "10ms"\n[down]\nbase_delay = "20ms"\n'


def profile(text: str = "") -> Profile:
    return validate(Profile, parse_toml(MINIMAL + text, "test"), "test")


def outages(**changes: object) -> Outages:
    rates = [["1s", 20.6], ["3s", 7.1], ["10s", 0.9]]
    return validate(Outages, {"rates": rates, "tail_log_mean": 0.35, **changes}, "test")


def rate_of(outage: Outages, at_least_s: float) -> float:
    """Outages per hour of at least so long, as the link's table gives them."""
    return outage.per_hour * math.exp(-float(np.interp(at_least_s, outage.lengths_s(), OUTAGE_E)))


def test_every_shipped_profile_loads_and_says_what_it_is() -> None:
    assert PROFILES.names() == ["lan", "wireguard-5g"]
    assert all(load_profile(name).summary for name in PROFILES.names())


def test_looking_up_the_tables_gives_the_pairs() -> None:
    shipped = load_profile("wireguard-5g")
    link = shipped.to_link()[0]

    for probability, extra in shipped.up.jitter:
        score = NormalDist().inv_cdf(probability)
        assert np.interp(score, JITTER_Z, link["jitter_s"][0]) == pytest.approx(extra, abs=0.0002)
    assert np.all(np.diff(link["jitter_s"]) >= 0)
    assert np.all(np.diff(link["outage_s"]) >= 0)


def test_both_ways_add_up_to_the_round_trip() -> None:
    one = profile()
    assert one.rtt_s == pytest.approx(0.030)
    assert one.to_link()[0]["base_s"].tolist() == [0.010, 0.020]


def test_survival_is_log_linear_between_the_knots() -> None:
    assert rate_of(outages(), 2) == pytest.approx(math.sqrt(20.6 * 7.1), rel=0.01)


def test_the_tails_agree_up_to_the_last_knot_and_part_beyond() -> None:
    light, heavy = outages(tail="exponential", tail_mean="2.9s"), outages(tail="lognormal")

    assert rate_of(light, 10) == pytest.approx(0.9) == rate_of(heavy, 10)
    assert rate_of(light, 20) == pytest.approx(0.9 * math.exp(-10 / 2.9), rel=0.01)
    survival = norm.sf((np.log([10, 20]) - 0.35) / 1.0)
    assert rate_of(heavy, 20) == pytest.approx(0.9 * survival[1] / survival[0], rel=0.01)


@given(st.floats(0.1, 30), st.sampled_from(list(Tail)))
def test_outages_and_the_time_between_them_fill_the_hours(factor: float, tail: Tail) -> None:
    outage = outages(rate_factor=factor, tail=tail.value)
    rng = np.random.default_rng(1)
    drawn = np.interp(rng.exponential(size=200_000), OUTAGE_E, outage.lengths_s())

    assert drawn.mean() == pytest.approx(outage.mean_s, rel=0.02)
    assert 3600 / (outage.gap_mean_s + outage.mean_s) == pytest.approx(20.6 * factor)
    assert outage.out_fraction == pytest.approx(outage.mean_s / (outage.gap_mean_s + outage.mean_s))


def test_a_profile_without_outages_has_none() -> None:
    link = profile().to_link()[0]
    assert link["outage_gap_mean_s"] == 0
    assert profile('[outage]\nrates = [["3s", 7.1]]\nrate_factor = 0.0').to_link()[0]["outage_gap_mean_s"] == 0


def test_a_tail_under_which_the_link_would_never_be_up_is_refused() -> None:
    often = profile(
        "[outage]\nrates = [['1s', 600], ['10s', 100]]\ntail_mean = '3s'\ntail_log_mean = 3.0\ntail_log_sigma = 3.0"
    )

    assert often.outage.out_fraction < 1
    with pytest.raises(SimulatorError, match=r"^outage with tail = lognormal: rates and rate_factor leave no time"):
        often.with_tail(Tail.LOGNORMAL)


@pytest.mark.parametrize(
    "text",
    [
        "[outage]\nrates = [['1s', 20]]\nrate_factor = 0.0\ntail_mean = '1e9s'",
        "[outage]\nrates = [['1s', 1e-300]]\ntail = 'lognormal'\ntail_log_sigma = 10\ntail_log_mean = 20",
        "loss = { good = 1.0 }",
        "jitter = [[0.5, '1e9s']]",
        "loss = { good_mean = '1e9s', bad_mean = '1e9s', bad = 1.0 }",
    ],
)
def test_extremes_that_make_sense_make_a_link(text: str) -> None:
    link = profile(text).to_link()[0]
    assert all(np.all(np.isfinite(link[name])) and np.all(link[name] >= 0) for name in link.dtype.names)


def test_another_tail_changes_nothing_else() -> None:
    shipped = load_profile("wireguard-5g")
    assert shipped.with_tail(Tail.LOGNORMAL).with_tail(shipped.outage.tail) == shipped


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("[outage]\nrates = [['3s', 7.1], ['5s', 8]]", "test: outage: rates: longer outages must be rarer"),
        ("[outage]\nrates = [['3s', 7.1], ['2s', 3]]", "test: outage: rates: longer outages must be rarer"),
        ("[outage]\nrates = [['3s', 7.1]]\nrate_factor = 1e4", "test: outage: rates and rate_factor leave no time"),
        (
            "[outage]\nrates = [['0.0001ms', 1e8]]",
            "test: outage: rates and rate_factor make more than an outage a milli",
        ),
        ("[outage]\ntail_mean = '1e15s'", "test: outage.tail_mean: 1e15s: must be at most 1000000000s"),
        ("[outage]\ntail_log_mean = 1e3", "test: outage.tail_log_mean: 1000.0: must be less than or equal to 20"),
        ("[outage]\ntail_log_sigma = 1e3", "test: outage.tail_log_sigma: 1000.0: must be less than or equal to 10"),
        ("loss = { bad = 0.5, good_mean = '1s', bad_mean = '1us' }", 'test: down.loss.bad_mean: "1us" is no duration'),
        ("loss = { good_mean = '1s', bad_mean = 1e-9 }", "test: down.loss.bad_mean: 1e-09s: must be at least 1ms"),
        ("loss = { good = 1.1 }", "test: down.loss.good: 1.1: must be less than or equal to 1"),
        ("[outage]\nrates = [['3s', -1]]", "test: outage.rates.0.1: -1: must be greater than 0"),
        ("[outage]\ntail = 'pareto'", "test: outage.tail: 'pareto': must be 'exponential' or 'lognormal'"),
        ("[outage]\ntial = 'lognormal'", "test: outage: unknown key tial, did you mean tail"),
        ("[outage]\ntail_mean = '10 parsecs'", 'test: outage.tail_mean: "10 parsecs" is no duration; allowed: '),
        ("loss = { good = -0.1 }", "test: down.loss.good: -0.1: must be greater than or equal to 0"),
        ("loss = { good = nan }", "test: down.loss.good: nan: must be a finite number"),
        ("loss = { bad = 0.5, bad_mean = '1s' }", "test: down.loss: good_mean and bad_mean must both"),
        ("jitter = [[0.5, '5ms'], [0.4, '6ms']]", "test: down: jitter must rise"),
        ("jitter = [[0.5, '5ms'], [0.9, '4ms']]", "test: down: jitter must rise"),
        ("jitter = [[1.0, '5ms']]", "test: down.jitter.0.0: 1.0: must be less than 1"),
        ("[middle]", "test: unknown key middle; allowed: summary, mss_bytes, jitter_correlation, up, down, outage"),
    ],
)
def test_what_contradicts_itself_is_refused_in_one_line(text: str, refusal: str) -> None:
    with pytest.raises(SimulatorError) as refused:
        profile(text)
    assert str(refused.value).startswith(refusal)
    assert "\n" not in str(refused.value)


def test_unknown_names_and_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.toml").write_bytes(b"\x00\xff\xfe")
    (tmp_path / "half.toml").write_text("[up")
    (tmp_path / "empty.toml").touch()
    refusals = {
        "wireguard5g": "did you mean wireguard-5g?; allowed: lan, wireguard-5g, or the path",
        "noise.toml": f"{tmp_path / 'noise.toml'}: not a text file",
        "half.toml": f"{tmp_path / 'half.toml'}: not TOML: ",
        "empty.toml": f"{tmp_path / 'empty.toml'}: up: is missing (and 1 more)",
        str(tmp_path): f"{tmp_path}: a directory; allowed: a TOML file",
        "~nouser/x.toml": "~nouser/x.toml: cannot be read: Could not determine home directory",
        "x" * 300: "is not known; allowed: lan, wireguard-5g",
        f"{'x' * 300}.toml": ".toml: cannot be read: File name too long",
        "gone.toml": f"{tmp_path / 'gone.toml'}: cannot be read: No such file",
    }
    for name, refusal in refusals.items():
        with pytest.raises(SimulatorError) as refused:
            load_profile(name, tmp_path)
        assert refusal in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_profile_by_its_path_is_relative_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINIMAL)
    assert load_profile("mine.toml", tmp_path) == profile()


def test_outages_cut_both_directions_and_drop_unless_something_else_is_said() -> None:
    plain = outages()
    assert (plain.directions.up, plain.directions.down, plain.directions.both, plain.hold) == (0, 0, 1, 0)
    link = profile("[outage]\ndirections = { up = 0.25, down = 0.1 }\nhold = 0.5").to_link()[0]
    assert (link["alone"].tolist(), link["hold"]) == ([0.25, 0.1], 0.5)


def test_what_is_left_of_the_directions_is_both() -> None:
    some = outages(directions={"up": 0.1, "down": 0.2})
    assert some.directions.both == 0.7
    assert validate(Outages, some.to_data(), "test") == some
    assert outages(directions={"up": 0.25, "down": 0.0, "both": 0.75}) == outages(directions={"up": 0.25})


@pytest.mark.parametrize(
    ("directions", "refusal"),
    [
        ("{ up = 0.25, both = 0.5 }", ": up 0.25, down 0 and both 0.5 must add up to 1"),
        ("{ up = 0.75, down = 0.5 }", ": up 0.75, down 0.5 and both 0 must add up to 1"),
        ("{ up = 1.5 }", ".up: 1.5: must be less than or equal to 1"),
        ("{ up = 'all' }", ".up: 'all': must be a valid number"),
        ("{ boht = 1 }", ": unknown key boht, did you mean both?; allowed: up, down, both"),
        ("0.5", ": 0.5: must be a table"),
    ],
)
def test_directions_that_cannot_be_are_refused(directions: str, refusal: str) -> None:
    with pytest.raises(SimulatorError) as refused:
        profile(f"[outage]\ndirections = {directions}")
    assert str(refused.value).startswith(f"test: outage.directions{refusal}")
    assert "\n" not in str(refused.value)


@given(st.floats(0.0, 1.0), st.floats(0.01, 1.0))
def test_parts_of_the_outages_leave_time_between_them_and_add_up(share: float, factor: float) -> None:
    outage = outages(rate_factor=20.0 * factor)
    gaps = [outage.gap_mean_of(part) for part in (share, 1.0 - share)]
    rates = [3600.0 / (gap + outage.mean_s) for gap in gaps if gap]
    assert all(gap > 0.0 for gap, part in zip(gaps, (share, 1.0 - share), strict=True) if part > 1e-300)
    assert sum(rates) == pytest.approx(outage.per_hour)
