"""The plot of a fit: its title, and what the strip of time shows of a recording."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from tests.analysis.fit.recordings import NAN, quiet, recording

from heartbench.analysis.fit import Fit, fit_recording
from heartbench.analysis.report.fit_plots import finding, plot_fit
from heartbench.simulator.recordings import Recording


def drawn(rtt_s: np.ndarray, step_s: float = 1.0) -> tuple[Axes, Fit]:
    seen = recording(rtt_s, step_s)
    fit = fit_recording(seen)
    return plot_fit(seen, fit), fit


def marks(ax: Axes) -> np.ndarray:
    return next(np.asarray(line.get_xdata()) for line in ax.lines if line.get_label() == "lost")


def test_a_long_outage_hides_no_single_loss_beside_it() -> None:
    rtt_s = quiet(30_000)
    rtt_s[5_000:20_000] = NAN
    single = np.arange(20_500, 30_000, 500)
    rtt_s[single] = NAN
    ax, _ = drawn(rtt_s)
    at = marks(ax) * 3600
    assert set(single) <= set(np.round(at))
    outage = at[(at >= 5_000) & (at < 20_000)]
    assert np.diff(outage).max() < 30_000 / 1000  # still a bar
    assert len(at) < 2_100


@pytest.mark.parametrize(
    ("out", "step_s", "said"),
    [
        (slice(5_000, 19_400), 1.0, "33.33% lost; one outage of 4 h"),
        (slice(5_000, 5_750), 1.0, "1.74% lost; one outage of 12.5 min"),
        (slice(5_000, 5_011), 1.0, "0.03% lost; one outage of 11 s"),
        (slice(0, 0), 300.0, "0.00% lost; no outage of 12.5 min or more"),
    ],
)
def test_the_title_gives_times_as_a_person_would(out: slice, step_s: float, said: str) -> None:
    rtt_s = quiet(43_200)
    rtt_s[out] = NAN
    assert said in finding(fit_recording(recording(rtt_s, step_s)))


def test_the_strip_leaves_out_a_pause_of_days() -> None:
    rtt_s = np.append(quiet(1_000), quiet(1_000, seed=2))
    rtt_s[1_500:1_520] = NAN
    whole = recording(rtt_s, stretch=[0] * 1_000 + [1] * 1_000)
    sent_s = whole.sent_s + np.repeat([0.0, 10 * 86_400.0], 1_000)
    seen = Recording("two.log", sent_s, rtt_s, None, None, whole.stretch, 1.0)
    ax = plot_fit(seen, fit_recording(seen))
    assert ax.get_xlim() == pytest.approx((0, 1_999 / 60), abs=0.01)
    assert ax.get_xlabel() == "time observed, without pauses (min)"
    assert marks(ax).min() == pytest.approx(1_500 / 60)
    shades = next(each for each in ax.collections if each.get_label() == "outages")
    assert np.asarray(shades.get_paths()[0].vertices)[0, 0] == pytest.approx(1_500 / 60)
    pauses = next(each for each in ax.collections if each.get_label() == "pauses")
    assert np.asarray(pauses.get_paths()[0].vertices)[0, 0] == pytest.approx(1_000 / 60)
