"""Kernels: the same answer from Python, from another kernel and as plain Python; compiled once for each type."""

import os
import subprocess
import sys
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


def test_what_was_compiled_is_kept_for_the_next_process(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    (first, missed), (second, hit) = (run.stdout.split() for run in runs)
    assert first == second
    assert (missed, hit) == ("0", "1")
    assert list((tmp_path / "heartbench").iterdir())
