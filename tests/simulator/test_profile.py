import math
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link_records import JITTER_Z, OUTAGE_E
from heartbench.simulator.outages import Outages
from heartbench.simulator.profile import PROFILES, Profile, load_profile
from heartbench.simulator.tail import Tail, fit
from heartbench.simulator.tomlfile import parse_toml, validate

MINIMAL = '[up]\nbase_delay = "10ms"\n[down]\nbase_delay = "20ms"\n'


def profile(text: str = "") -> Profile:
    return validate(Profile, parse_toml(MINIMAL + text, "test"), "test")


def outages(**changes: object) -> Outages:
    rates = [["1s", 20.6], ["3s", 7.1], ["10s", 0.9]]
    return validate(Outages, {"rates": rates, "shape": 0.5, "scale": "2s", **changes}, "test")


WATCHED = "[outage.observed]\nhours = 10\nfrom = '3s'\nresolution = 0\nlengths = "
TEN = "[3, 3, 3, 4, 4, 5, 6, 8, 12, 30]"


def figures_of(record: np.void) -> Iterator[np.ndarray]:
    """All figures of a record, with those of the records in it."""
    for name in record.dtype.names or ():
        if record.dtype[name].names is None:
            yield np.asarray(record[name])
        else:
            yield from figures_of(record[name])


def rate_of(outage: Outages, at_least_s: float) -> float:
    """Outages per hour of at least so long, as the link's table gives them."""
    return outage.per_hour * math.exp(-float(np.interp(at_least_s, outage.lengths_s(), OUTAGE_E)))


def test_every_shipped_profile_loads_and_says_what_it_is() -> None:
    expected = ["5g-private", "5g-standing", "datacenter", "lan", "lte", "starlink", "wan", "wifi", "wireguard-5g"]
    assert PROFILES.names() == expected
    assert all(load_profile(name).summary for name in expected)
    observed = {name for name in expected if load_profile(name).outage.observed}
    assert observed == {"5g-private", "5g-standing", "lte", "wireguard-5g"}


@pytest.mark.parametrize("name", PROFILES.names())
def test_a_shipped_profile_names_its_sources_and_warns_if_no_outages_were_counted(name: str) -> None:
    text = " ".join(PROFILES.text(name).replace("#", " ").split())
    if name != "lan":
        assert re.search(r"[Ss]ource", text)
        assert re.search(r"\b(19|20)\d\d\b|Zenodo", text)
        assert load_profile(name).outage.observed or "can be tuned with" in text


@pytest.mark.parametrize("name", PROFILES.names())
def test_a_shipped_profile_makes_a_link_with_the_round_trips_that_it_states(name: str) -> None:
    shipped = load_profile(name)
    link = shipped.to_link()[0]
    for way, stated in enumerate((shipped.up, shipped.down)):
        table_s = link["jitter_s"][way][: link["jitter_cells"][way] + 1]
        score = np.array([NormalDist().inv_cdf(probability) for probability, _ in stated.jitter])
        drawn = np.interp(score, np.linspace(-4, 4, len(table_s)), table_s)
        assert stated.base_delay_s + drawn == pytest.approx(stated.base_delay_s + stated.jitter_s(score), rel=0.005)
        assert np.all(np.diff(table_s) >= 0)
    assert np.all(np.isfinite(link["outage_s"]))
    assert 0 <= shipped.outage.out_fraction < 0.03


def test_looking_up_the_tables_gives_the_pairs() -> None:
    shipped = load_profile("wireguard-5g")
    link = shipped.to_link()[0]

    for probability, extra in shipped.up.jitter:
        score = NormalDist().inv_cdf(probability)
        assert np.interp(score, JITTER_Z, link["jitter_s"][0][: len(JITTER_Z)]) == pytest.approx(extra, abs=0.0002)
    assert np.all(np.diff(link["jitter_s"][:, : len(JITTER_Z)]) >= 0)
    assert np.all(np.diff(link["outage_s"]) >= 0)


def test_both_ways_add_up_to_the_round_trip() -> None:
    one = profile()
    assert one.rtt_s == pytest.approx(0.030)
    assert one.to_link()[0]["base_s"].tolist() == [0.010, 0.020]


def test_the_forms_that_the_documents_show_make_profiles() -> None:
    page = (Path(__file__).parents[2] / "docs/profiles.md").read_text(encoding="utf-8")
    forms = re.findall(r"```toml\n(\[outage.*?)```", page, re.DOTALL)
    observed, stated, fixed = (profile(form).outage for form in forms)
    assert observed.observed_s
    assert observed.tail.from_s == 3
    assert (stated.tail.shape, stated.tail.scale_s) == (0.2, 3.0)
    assert set(fixed.lengths_s()) == {20.0}


def test_survival_is_log_linear_between_the_knots() -> None:
    assert rate_of(outages(), 2) == pytest.approx(math.sqrt(20.6 * 7.1), rel=0.01)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.5])
def test_beyond_the_last_knot_the_tail_is_a_generalised_pareto(shape: float) -> None:
    outage = outages(shape=shape)
    beyond = 4.0
    survival = math.exp(-beyond / 2) if shape == 0 else (1 + shape * beyond / 2) ** (-1 / shape)

    assert rate_of(outage, 10) == pytest.approx(0.9)
    assert rate_of(outage, 10 + beyond) == pytest.approx(0.9 * survival, rel=0.01)


def test_nearly_equal_rates_of_two_lengths_leave_the_longer_outages_alone() -> None:
    outage = outages(rates=[("1s", 13.9), ("2s", 6.2), ("2.5s", 6.04)], shape=0.4, scale="1.66s")
    assert rate_of(outage, 2.5) == pytest.approx(6.04)
    for length in (5.0, 10.0):
        survival = (1 + 0.4 * (length - 2.5) / 1.66) ** -2.5
        assert rate_of(outage, length) == pytest.approx(6.04 * survival, rel=0.01)


@given(st.floats(0.1, 30), st.floats(-0.5, 0.6))
def test_outages_and_the_time_between_them_fill_the_hours(factor: float, shape: float) -> None:
    outage = outages(rate_factor=factor, shape=shape)
    rng = np.random.default_rng(1)
    drawn = np.interp(rng.exponential(size=200_000), OUTAGE_E, outage.lengths_s())

    assert drawn.mean() == pytest.approx(outage.mean_s, rel=0.05)
    assert 3600 / (outage.gap_mean_s() + outage.mean_s) == pytest.approx(20.6 * factor)
    assert outage.out_fraction == pytest.approx(outage.mean_s / (outage.gap_mean_s() + outage.mean_s))


def test_observed_outages_continue_the_rates_and_the_tail_is_fitted_to_them() -> None:
    outage = profile(f"[outage]\nrates = [['1s', 4]]\n{WATCHED}{TEN}").outage

    assert outage.knots == ((1.0, 4.0), (3.0, 1.0))
    assert outage.tail == fit(np.array([3, 3, 3, 4, 4, 5, 6, 8, 12, 30.0]), 3.0)
    assert rate_of(outage, 3) == pytest.approx(1.0)


def test_a_stated_tail_goes_before_a_fitted_one() -> None:
    outage = profile(f"[outage]\nshape = 0.1\nscale = '7s'\n{WATCHED}{TEN}").outage
    assert outage.tail == Tail(3.0, 0.1, 7.0)


def test_a_network_that_was_watched_and_showed_no_outage_has_none() -> None:
    outage = profile(f"{WATCHED}[]").outage
    assert (outage.per_hour, outage.lengths_s().max()) == (0, 0)


def test_outages_of_one_length_have_it() -> None:
    outage = profile("[outage]\nrates = [['20s', 2]]\nlengths = 'fixed'").outage
    assert np.unique(outage.lengths_s()).tolist() == [20.0]
    assert outage.mean_s == pytest.approx(20.0)


def test_a_profile_without_outages_has_none() -> None:
    link = profile().to_link()[0]
    assert link["outage_gap_mean_s"] == 0
    off = profile('[outage]\nrates = [["3s", 7.1]]\nrate_factor = 0.0\nshape = 0.2\nscale = "2s"')
    assert off.to_link()[0]["outage_gap_mean_s"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "[outage]\nrates = [['1s', 20]]\nrate_factor = 0.0\nshape = 0.0\nscale = '1e9s'",
        "[outage]\nrates = [['1s', 1e-300]]\nshape = 0.99\nscale = '1000s'",
        "[outage]\nrates = [['1s', 1]]\nshape = -0.5\nscale = '1ms'",
        "loss = { good = 1.0 }",
        "jitter = [[0.5, '1e9s']]",
        "loss = { good_mean = '1e9s', bad_mean = '1e9s', bad = 1.0 }",
    ],
)
def test_extremes_that_make_sense_make_a_link(text: str) -> None:
    link = profile(text).to_link()[0]
    assert all(np.all(np.isfinite(figures)) and np.all(figures >= 0) for figures in figures_of(link))


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("[outage]\nrates = [['3s', 7.1], ['5s', 8]]", "test: outage: rates: longer outages must be rarer"),
        ("[outage]\nrates = [['3s', 7.1], ['2s', 3]]", "test: outage: rates: longer outages must be rarer"),
        (
            "[outage]\nrates = [['3s', 7.1]]\nrate_factor = 1e4\nlengths = 'fixed'",
            "test: outage: rates and rate_factor leave no time",
        ),
        (
            "[outage]\nrates = [['0.0001ms', 1e8]]\nlengths = 'fixed'",
            "test: outage: rates and rate_factor give more than one outage per milli",
        ),
        ("[outage]\nscale = '1e15s'", "test: outage.scale: 1e15s: must be at most 1000000000s"),
        ("[outage]\nshape = 1.0", "test: outage.shape: 1.0: must be less than 1"),
        ("[outage]\nshape = -0.6", "test: outage.shape: -0.6: must be greater than or equal to -0.5"),
        ("[outage]\nshape = 0.5", "test: outage: shape and scale need each other"),
        (
            "[outage]\nrates = [['3s', 7.1]]",
            "test: outage: the longest outages are not known; set shape and scale, or",
        ),
        (f"{WATCHED}[3, 4, 5]", "test: outage: the longest outages are not known; set shape and scale, or"),
        (f"{WATCHED}[2]", "test: outage.observed: lengths: 2 s: must be at least 3 s, which is `from`"),
        ("[outage.observed]\nhours = 0\nfrom = '3s'\nlengths = []", "test: outage.observed.hours: 0: must be greater"),
        ("[outage.observed]\nfrom = '3s'\nlengths = []", "test: outage.observed.hours: is missing"),
        (
            "[outage]\nrates = [['1s', 9], ['3s', 7]]\nlengths = 'fixed'",
            'test: outage: lengths: "fixed" needs one pair in rates',
        ),
        ("[outage]\nlengths = 'long'", "test: outage.lengths: 'long': must be 'drawn' or 'fixed'"),
        (
            f"[outage]\nrates = [['5s', 9]]\n{WATCHED}{TEN}",
            "test: outage: observed.from: 3 s: must be longer than the last",
        ),
        (
            f"[outage]\nrates = [['5s', 9]]\nshape = 0.1\nscale = '1s'\n{WATCHED}[]",
            "test: outage: observed.from: 3 s: must be longer than the last length in rates, 5 s",
        ),
        (f"{WATCHED}[4.5]\ncut = [2]", "test: outage.observed: cut: 2 s: must be at least 3 s, which is `from`"),
        (f"{WATCHED}[3, 3]", "test: outage.observed: lengths: all equal `from`; set resolution"),
        (
            f"[outage.observed]\nhours = 9\nfrom = 3\nlengths = {TEN}",
            "test: outage.observed: lengths: all are whole seconds",
        ),
        (
            "loss = { bad = 0.5, good_mean = '1s', bad_mean = '1us' }",
            'test: down.loss.bad_mean: "1us" is not a duration',
        ),
        ("loss = { good_mean = '1s', bad_mean = 1e-9 }", "test: down.loss.bad_mean: 1e-09s: must be at least 1ms"),
        ("loss = { good = 1.1 }", "test: down.loss.good: 1.1: must be less than or equal to 1"),
        ("[outage]\nrates = [['3s', -1]]", "test: outage.rates.0.1: -1: must be greater than 0"),
        ("[outage]\nsape = 0.5", "test: outage: unknown key sape, did you mean shape"),
        ("[outage]\nscale = '10 parsecs'", 'test: outage.scale: "10 parsecs" is not a duration; expected '),
        ("loss = { good = -0.1 }", "test: down.loss.good: -0.1: must be greater than or equal to 0"),
        ("loss = { good = nan }", "test: down.loss.good: nan: must be a finite number"),
        ("loss = { bad = 0.5, bad_mean = '1s' }", "test: down.loss: good_mean and bad_mean must both"),
        ("jitter = [[0.5, '5ms'], [0.4, '6ms']]", "test: down: jitter must rise"),
        ("jitter = [[0.5, '5ms'], [0.9, '4ms']]", "test: down: jitter must rise"),
        ("jitter = [[1.0, '5ms']]", "test: down.jitter.0.0: 1.0: must be less than 1"),
        ("[middle]", "test: unknown key middle; allowed: summary, mss_bytes, jitter_correlation, jitter_slow_share, "),
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
        "wireguard5g": f"did you mean wireguard-5g?; allowed: {', '.join(PROFILES.names())}, or the path",
        "noise.toml": f"{tmp_path / 'noise.toml'}: is not a text file",
        "half.toml": f"{tmp_path / 'half.toml'}: is not TOML: ",
        "empty.toml": f"{tmp_path / 'empty.toml'}: up: is missing (and 1 more)",
        str(tmp_path): f"{tmp_path}: is a directory; expected a TOML file",
        "~nouser/x.toml": "~nouser/x.toml: cannot be read: Could not determine home directory",
        "x" * 300: "is not known; allowed: 5g-private, 5g-standing,",
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
    gaps = [outage.gap_mean_s(part) for part in (share, 1.0 - share)]
    rates = [3600.0 / (gap + outage.mean_s) for gap in gaps if gap]
    assert all(gap > 0.0 for gap, part in zip(gaps, (share, 1.0 - share), strict=True) if part > 1e-300)
    assert sum(rates) == pytest.approx(outage.per_hour)


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        ("jitter_slow_share = 0.5", "test: jitter_slow_share and jitter_slow_correlation need each other"),
        ("jitter_slow_correlation = '60s'", "test: jitter_slow_share and jitter_slow_correlation need each other"),
        (
            "jitter_slow_share = 0.5\njitter_slow_correlation = '1s'",
            "test: jitter_slow_correlation: 1 s: must be longer than jitter_correlation, 1 s",
        ),
    ],
)
def test_a_slow_state_of_the_radio_needs_a_share_and_a_longer_time(head: str, refusal: str) -> None:
    with pytest.raises(SimulatorError, match=f"^{refusal}"):
        validate(Profile, parse_toml(f"{head}\n{MINIMAL}", "test"), "test")
    kept = "jitter_slow_share = 0.5\njitter_slow_correlation = '60s'\n"
    link = validate(Profile, parse_toml(kept + MINIMAL, "test"), "test").to_link()[0]
    assert (link["jitter_fast"], link["jitter_slow"]) == pytest.approx((0.5**0.5, 0.5**0.5))
    assert link["jitter_slow_correlation_s"] == 60.0
