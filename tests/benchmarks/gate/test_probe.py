import importlib.util
import json
import socket
import struct
import sys
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from heartbench.benchmarks.gate import process


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plugin, loaded as pytest loads it in a project."""
    order = {"report": str(tmp_path / "seen.json"), "roots": [str(tmp_path)], "only": [], "spins": None, "line": None}
    (tmp_path / "order.json").write_text(json.dumps(order), "utf-8")
    monkeypatch.setenv("HEARTBENCH_GATE", str(tmp_path / "order.json"))
    spec = importlib.util.spec_from_file_location("the_probe", Path(process.__file__).with_name("probe.py"))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("spins", "calls"), [(0.0, 10), (3.0, 10), (0.25, 8), (1e-3, 2000)])
def test_a_slowed_function_takes_the_spins_it_owes_and_no_others(
    probe: Any, monkeypatch: pytest.MonkeyPatch, spins: float, calls: int
) -> None:
    taken: list[float] = []

    def recorded(_: None, times: int) -> tuple[()]:
        taken.append(times)
        return ()

    monkeypatch.setattr(probe, "repeat", recorded)
    numbers = count()
    slowed = probe.slowed(lambda step: next(numbers) * step, spins)
    assert [slowed(2) for _ in range(calls)] == [2 * number for number in range(calls)]
    assert sum(taken) == pytest.approx(spins * calls, abs=1)


def test_a_module_from_elsewhere_is_foreign_only_if_the_worktree_has_it(
    probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, place in (("ours", tmp_path), ("stolen", tmp_path.parent), ("theirs", tmp_path.parent)):
        module = ModuleType(name)
        module.__file__ = str(place / f"{name}.py")
        monkeypatch.setitem(sys.modules, name, module)
    (tmp_path / "ours.py").touch()
    (tmp_path / "stolen.py").touch()
    assert probe.foreign_modules([tmp_path]) == [f"stolen from {tmp_path.parent / 'stolen.py'}"]


def test_a_package_from_elsewhere_is_foreign_too(probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a.b")
    module.__file__ = "/elsewhere/a/b/__init__.py"
    monkeypatch.setitem(sys.modules, "a.b", module)
    (tmp_path / "src" / "a" / "b").mkdir(parents=True)
    (tmp_path / "src" / "a" / "b" / "__init__.py").touch()
    assert probe.foreign_modules([tmp_path, tmp_path / "src"]) == ["a.b from /elsewhere/a/b/__init__.py"]


@pytest.mark.parametrize(
    ("node", "kept"),
    [
        ("perf/t.py::test_a", True),
        ("perf/t.py::test_a[1-x]", True),
        ("perf/t.py::test_ab", False),
        ("perf/other/u.py::test_b", True),
        ("perf/t.py::Group::test_c", True),
    ],
)
def test_a_node_keeps_what_is_below_it(probe: Any, node: str, kept: bool) -> None:
    assert probe.is_below(node, ["perf/t.py::test_a", "perf/other", "perf/t.py::Group"]) is kept


def test_the_empty_loop_takes_nanoseconds_a_spin(probe: Any) -> None:
    assert 1e-10 < probe.seconds_a_spin() < 1e-6


def test_a_slice_is_the_median_of_its_rounds_and_calibration_is_left_out(probe: Any) -> None:
    assert probe.slices([0, 0, 1, 1, 1, 2], [3.0, 1.0, 2.0, 5.0]) == [(1, 2.0), (2, 5.0)]


def test_a_timer_waits_for_its_turn_before_a_round_and_never_within_one(
    probe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for turn in (5, 6):
            theirs.sendall(struct.pack("!q", turn))
        monkeypatch.setattr(probe, "SLICE_S", 4)
        turns = probe.Turns(ours, lambda: float(next(clock)))
        turns.wait("begin x")
        for _ in range(3):
            assert turns() < turns()
        assert turns.rounds == [5, 6, 6]
        assert theirs.recv(100) == b"begin x\nover\n"
