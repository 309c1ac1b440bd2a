import pandas as pd
import pytest

from heartbench.benchmarks.scaling.measure import fit_slopes, measure_scaling, plot_scaling
from heartbench.benchmarks.scaling.subjects import SUBJECTS


def rows(subject: str, exponent: float) -> list[dict[str, object]]:
    return [
        {"subject": subject, "of": "nodes", "size": size, "operation_s": 1e-6 * size**exponent, "calls": 1}
        for size in (100, 1_000, 10_000, 100_000)
    ]


@pytest.mark.parametrize("exponent", [-0.1, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_found(exponent: float) -> None:
    (fit,) = fit_slopes(pd.DataFrame(rows("made up", exponent))).to_dict("records")

    assert fit["slope"] == pytest.approx(exponent, abs=1e-9)
    assert fit["low"] <= fit["slope"] + 1e-9
    assert fit["high"] >= fit["slope"] - 1e-9


def test_the_plot_names_what_hardly_grows() -> None:
    title = plot_scaling(pd.DataFrame(rows("flat", 0.1) + rows("steep", 1.0))).get_title(loc="left")

    assert "flat" in title
    assert "steep" not in title


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_operation_can_be_measured(subject: str) -> None:
    frame = measure_scaling([subject], {subject: (100, 200)})

    assert list(frame["size"]) == [100, 200]
    assert (frame.operation_s > 0).all()
