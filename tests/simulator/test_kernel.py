"""Kernels: the same answer from Python, from another kernel and as plain Python; compiled once for each type."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.kernel import kernel, part

SPOT = np.dtype([("x", "f8"), ("steps", "i8")], align=True)


@part
def _step(spot: Any, by: float) -> None:
    spot.x += by
    spot.steps += 1


@kernel
def _halve(spot: Any) -> bool:
    spot.x /= 2.0
    return spot.x > 1.0


@kernel
def _walk(spot: Any, times: int) -> float:
    for _ in range(times):
        _step(spot, 0.5)
        _step(spot, 1)
        while _halve(spot):
            _step(spot, -0.25)
    return spot.x


def spot(x: float = 0.0) -> Any:
    made = np.zeros(1, SPOT).view(np.recarray)[0]
    made.x = x
    return made


@given(x=st.floats(-1e6, 1e6), times=st.integers(0, 20))
def test_compiled_and_plain_python_agree(x: float, times: int) -> None:
    compiled, plain = spot(x), spot(x)
    assert _walk(compiled, times) == _walk.py_func(plain, times)
    assert compiled == plain


def test_what_kernels_call_can_be_called_from_python() -> None:
    here = spot(3.0)
    _step(here, 1.0)
    assert (here.x, here.steps) == (4.0, 1)
    assert _halve(here)


def test_a_kernel_that_allocates_is_refused() -> None:
    @kernel
    def greedy(size: int) -> Any:
        return np.empty(size)

    with pytest.raises(Exception, match="empty"):
        greedy(3)


PROGRAM = """
import sys
from heartbench.simulator import chance
before = chance.uniform(chance.key(1, 2, 3), 4)
print(before.hex(), sum(chance.key.stats.cache_hits.values()))
"""


def run(variable: str, folder: Path) -> tuple[str, str]:
    """What a process prints that keeps what it compiles in `folder`: a draw, and how much of it was kept before."""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(
        command, env={**environment, variable: str(folder)}, check=True, capture_output=True, text=True
    )
    draw, hits = ended.stdout.split()
    return draw, hits


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR"])
def test_what_was_compiled_is_kept_for_the_next_process(variable: str, tmp_path: Path) -> None:
    (first, missed), (second, hit) = run(variable, tmp_path), run(variable, tmp_path)
    assert first == second
    assert (missed, hit) == ("0", "1")
    (digest,) = (tmp_path / "heartbench").iterdir()
    assert list(digest.iterdir())


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    no_folder = tmp_path / "file"
    no_folder.touch()
    (first, missed), (second, missed_again) = run("XDG_CACHE_HOME", no_folder), run("XDG_CACHE_HOME", no_folder)
    assert first == second
    assert (missed, missed_again) == ("0", "0")


def test_what_older_sources_left_is_deleted_unless_it_may_be_in_use(tmp_path: Path) -> None:
    day_s = 86400.0
    ages_s = {"a" * 16: 30 * day_s, "b" * 16: 9 * day_s, "c" * 16: 8 * day_s, "d" * 16: 8 * day_s - 60.0}
    recent = {f"{number:016x}": number * day_s for number in range(1, 6)}
    for name, age_s in {**ages_s, **recent, "not-a-digest": 30 * day_s}.items():
        (tmp_path / "heartbench" / name).mkdir(parents=True)
        os.utime(tmp_path / "heartbench" / name, (time.time() - age_s,) * 2)

    run("XDG_CACHE_HOME", tmp_path)

    left = {folder.name for folder in (tmp_path / "heartbench").iterdir()}
    assert left & {*ages_s, *recent, "not-a-digest"} == {*recent, "not-a-digest"}
    assert len(left) == len(recent) + 2


def test_the_newest_few_are_kept_however_old(tmp_path: Path) -> None:
    for age in range(1, 5):
        folder = tmp_path / "heartbench" / f"{age:016x}"
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age * 30 * 86400.0,) * 2)

    run("XDG_CACHE_HOME", tmp_path)

    left = sorted(folder.name for folder in (tmp_path / "heartbench").iterdir())
    assert len(left) == 3
    assert {f"{1:016x}", f"{2:016x}"} < set(left)
