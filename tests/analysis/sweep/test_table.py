from pathlib import Path

import pyarrow as pa
import pytest

from heartbench.analysis.report.style import whole
from heartbench.analysis.sweep import Store, Sweep, parse_vary, plan_sweep, table_of
from heartbench.analysis.sweep.cell import FIGURES
from heartbench.analysis.sweep.plot import MOST_COLUMNS, plot_sweep
from heartbench.analysis.sweep.summary import dimensions, finding, summary_of
from heartbench.analysis.tune import FLEET


def figures(false_stale: int, groups: tuple[str, ...] = ("edge",), thresholds: tuple[float, ...] = (30.0,)) -> pa.Table:
    """Return the figures of a made-up cell: `false_stale` in ten node-days."""
    same = {
        name: 1 if pa.types.is_integer(kind) else 0.0 for name, kind in zip(FIGURES.names, FIGURES.types, strict=True)
    }
    judged = {"false_stale": false_stale, "node_days": 10.0, "false_stale_per_node_day": false_stale / 10}
    rows = [same | judged | {"group": group, "stale_after_s": s} for s in thresholds for group in groups]
    return pa.Table.from_pylist(rows, FIGURES)


def planned(*varied: str, seeds: tuple[int, ...] = (1,), thresholds: tuple[float, ...] = ()) -> Sweep:
    small = ["duration=1h", "group.*.nodes=1"]
    return plan_sweep("wireguard-5g", [parse_vary(text) for text in varied], seeds, small, thresholds)


def test_seeds_are_taken_together_and_their_spread_is_shown() -> None:
    sweep = planned("group.edge.keepalive_time=0s,30s", seeds=(1, 2))
    table = table_of(sweep, {n: figures(count) for n, count in enumerate((10, 30, 2, 6))}).to_pandas()
    found = summary_of(sweep, table)
    assert found["group.edge.keepalive_time_s"].tolist() == [0.0, 30.0]
    assert found.false_stale_per_node_day.tolist() == [2.0, 0.4]
    assert found[["false_stale_low", "false_stale_high"]].to_numpy().tolist() == [[1.0, 3.0], [0.2, 0.6]]
    assert finding(sweep, found) == (
        "wireguard-5g: 0.4 to 2 false stales per node-day in these runs, fewest with keepalive_time 30s"
    )


def test_a_cell_without_figures_is_left_out() -> None:
    sweep = planned("hub.stale_after_s=20,30", seeds=(1, 2))
    table = table_of(sweep, {0: figures(1), 3: figures(4)})
    assert table["hub.stale_after_s"].to_pylist() == [20, 30]
    assert table["seed"].to_pylist() == [1, 2]
    assert summary_of(sweep, table.to_pandas()).seeds.tolist() == [1, 1]


def test_keys_that_end_alike_keep_their_whole_names() -> None:
    sweep = plan_sweep("mixed-fleet", [parse_vary("group.rack.nodes=1,2"), parse_vary("group.vehicle.nodes=1,2")])
    found = dimensions(sweep, table_of(sweep, {0: figures(1)}).to_pandas())
    assert [each.name for each in found] == ["group.rack.nodes", "group.vehicle.nodes", "group"]


def test_a_plot_has_a_column_of_panels_for_each_combination_that_axis_and_colour_do_not_show() -> None:
    sweep = planned(
        "group.edge.keepalive_time=0s,30s", "group.edge.heartbeat_interval=5s,10s", thresholds=(20, 30, 60, 90)
    )
    groups = ("edge", "core", FLEET)
    cells = {n: figures(n, groups, sweep.stale_after_s) for n in range(4)}
    shown = whole(plot_sweep(sweep, table_of(sweep, cells).to_pandas()))
    assert len(shown.axes) == 3 * MOST_COLUMNS
    assert shown.axes[0].get_title(loc="left") == "stale_after 20 s\ngroup edge"
    assert f"{MOST_COLUMNS} of 12 columns, the table has all" in shown.get_supxlabel()
    assert "over the fleet" in shown.get_suptitle()


def test_a_plot_of_seeds_alone_shows_them() -> None:
    sweep = planned(seeds=(1, 2, 3))
    first = plot_sweep(sweep, table_of(sweep, {n: figures(n) for n in range(3)}).to_pandas())
    assert [tick.get_text() for tick in whole(first).axes[-1].get_xticklabels()] == ["1", "2", "3"]


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: b"x" * len(data)])
def test_a_cell_is_kept_and_a_damaged_one_is_not_finished(damage: object, tmp_path: Path) -> None:
    store = Store(tmp_path / "cells")
    assert store.read("name") is None
    store.write("name", figures(3))
    (file,) = store.folder.iterdir()
    assert store.read("name") == figures(3)
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    assert store.read("name") is None


def test_a_bit_that_flipped_in_a_finished_cell_makes_no_other_figures(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("name", figures(3))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for place in range(0, len(whole) - 1000, 40):  # the end describes the rest
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert store.read("name") in (None, figures(3))
