import pytest

from heartbench.analysis.policies import ARRAY_FORMS
from heartbench.analysis.validation.closed_forms import (
    NFD_S,
    SIMPLE,
    Setting,
    compare,
    expected,
    measured,
    until_freshness_point,
)

QUICK = {"batches": 20, "heartbeats": 20_000}


@pytest.fixture(autouse=True)
def nfd_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARRAY_FORMS, NFD_S, until_freshness_point)


@pytest.mark.parametrize(
    "setting", [Setting(NFD_S, 0.05, 0.02, 0.5), Setting(NFD_S, 0.1, 0.5, 1.0), Setting(SIMPLE, 0.05, 0.02, 1.5)]
)
def test_measured_quality_is_that_of_theory(setting: Setting) -> None:
    assert all(row.agrees for row in compare(setting, measured(setting, 1, **QUICK)))


def test_another_setting_s_theory_does_not_agree() -> None:
    batches = measured(Setting(NFD_S, 0.05, 0.02, 0.5), 1, **QUICK)
    assert not any(row.agrees for row in compare(Setting(NFD_S, 0.06, 0.02, 0.52), batches))


def test_a_timeout_of_one_and_a_half_intervals_fails_after_each_run_of_losses() -> None:
    # Without delay to speak of: a run of n lost heartbeats leaves n + 1 intervals between two that arrive.
    loss = 0.01
    found = expected(Setting(SIMPLE, loss, 1e-6, 1.5))
    assert found.recurrence_s == pytest.approx(1 / (loss * (1 - loss)), rel=1e-4)
    assert found.duration_s == pytest.approx(0.5 + loss / (1 - loss), rel=1e-3)
    assert 1 - found.accuracy == pytest.approx(found.duration_s / found.recurrence_s)
