"""The plots: their titles, and that sparse data can be drawn."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps
from heartbench.analysis.qos import judge
from heartbench.analysis.report import plots, style
from heartbench.analysis.report.page import headline
from heartbench.analysis.tune import Goal, Per, Recommendation, frontier, recommend
from heartbench.hub.config import HubSettings
from heartbench.simulator.trace import Messages

HOUR_S = 3600.0


def gaps_of(lengths_s: list[float]) -> Gaps:
    """One node's gaps."""
    arrived = np.cumsum([0.0, *lengths_s])
    count = len(arrived)
    ones = np.ones(count, np.int32)
    messages = Messages(ones, ones, ones, np.arange(count), np.ones(count, np.int8), arrived, arrived)
    return find_gaps(messages, NO_LOSSES, float(arrived[-1]))


def judged(gaps: Gaps, goal: Goal) -> Recommendation:
    settings = [HubSettings.for_stale_after(each).policy for each in (15.0, 30.0, 45.0)]
    frame = frontier(judge(gaps, settings, HOUR_S))
    return recommend(goal, Per.GROUP, 30.0, frame, {"edge": frame}, {})


def title(ax: Axes) -> str:
    return " ".join(ax.get_title(loc="left").split())


TROUBLED = gaps_of([*[10.0] * 300, *[20.0] * 3, *[40.0] * 2])
EASY, HARD = Goal(110.0, 90.0), Goal(1 / 7, 20.0)


def test_titles_state_the_finding() -> None:
    found = judged(TROUBLED, EASY)
    assert title(plots.plot_frontier(found)) == (
        "False stales per node-day (95%): 0.663 to 356 at 30 s, 0 to 102 at 45 s"
    )
    assert title(plots.plot_gaps(TROUBLED, found)) == (
        "One gap in 150 is longer than 30 s, none of 305 gaps is longer than 45 s"
    )
    assert title(plots.plot_flaps(found, nodes=2)) == (
        "A dashboard of 2 nodes shows a flap 3 times an hour at 30 s, never at 45 s"
    )


def test_titles_name_the_deciding_group() -> None:
    worse = gaps_of([*[10.0] * 300, *[20.0] * 3, *[40.0] * 3, 50.0])
    own, other = judged(TROUBLED, EASY).fleet, judged(worse, EASY).fleet
    found = recommend(Goal(200.0, 90.0), Per.GROUP, 30.0, other, {"wired": own, "lte": other}, {})
    assert title(plots.plot_frontier(found)).endswith("(group lte, which decides)")
    assert title(plots.plot_flaps(found, nodes=1)) == (
        "A dashboard of 1 node shows a flap 3 times an hour at 30 s, 2 times an hour at 45 s"
    )
    assert headline(found).endswith("times per node-day (group lte, which decides).")


def test_without_a_current_threshold_only_the_recommended_one_is_shown() -> None:
    frame = judged(TROUBLED, EASY).fleet
    found = recommend(EASY, Per.GROUP, None, frame, {"edge": frame}, {})
    assert title(plots.plot_gaps(TROUBLED, found)) == "None of 305 gaps is longer than 45 s"
    assert title(plots.plot_frontier(found)).startswith("45 s is the lowest threshold")
    assert headline(found).startswith("At 45 s, a live node is marked stale 0 to ")


def test_a_current_threshold_that_is_right_is_named() -> None:
    assert title(plots.plot_frontier(judged(TROUBLED, Goal(400.0, 90.0)))).startswith("30 s is the lowest threshold")


def test_a_missed_goal_is_stated() -> None:
    assert title(plots.plot_frontier(judged(TROUBLED, HARD))).startswith("No threshold meets both sides of the goal")


@pytest.mark.parametrize("lengths", [[10.0, 10.0], [10.0] * 300, [0.5, 700.0]])
def test_sparse_data_can_be_drawn(lengths: list[float]) -> None:
    gaps = gaps_of(lengths)
    found = judged(gaps, HARD)
    for ax in (plots.plot_frontier(found), plots.plot_gaps(gaps, found), plots.plot_flaps(found, 1)):
        assert style.svg(ax).startswith("<svg")
        assert "(s)" in ax.get_xlabel()
        assert ax.get_ylabel()


def test_the_same_figures_give_the_same_picture() -> None:
    first, second = (style.svg(plots.plot_frontier(judged(TROUBLED, EASY))) for _ in range(2))
    assert first == second


def test_a_caption_and_a_file_of_its_own(tmp_path: Path) -> None:
    ax = plots.plot_gaps(TROUBLED, judged(TROUBLED, EASY))
    style.caption(ax, "heartbench run lan · seed 1")
    style.save(ax, tmp_path / "gaps.png")
    assert (tmp_path / "gaps.png").read_bytes().startswith(b"\x89PNG")
