"""Kernels: the same result from Python, from another kernel and as plain Python; cached between processes."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.extending import overload

import heartbench.simulator.kernel
from heartbench.simulator import counter_rng
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


def _quotient(a: float, b: float) -> float:
    return a / b


@overload(_quotient)
def _compile_quotient(a: float, b: float) -> Any:
    return _quotient


def test_kernels_call_each_other_with_a_numba_that_has_no_linked_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbench.simulator.kernel, "link_calls", None)

    @kernel
    def half(x: float) -> float:
        return x / 2.0

    @kernel
    def sum_of_halves(x: float, y: float) -> float:
        return half(x) + half(y)

    assert sum_of_halves(3.0, 4.0) == 3.5


def test_a_kernel_divides_as_numpy_does_whatever_others_compile() -> None:
    @kernel
    def before(a: float, b: float) -> float:
        return _quotient(a, b)

    @numba.njit
    def foreign(a: float, b: float) -> float:
        return _quotient(a, b)

    @kernel
    def after(a: float, b: float) -> float:
        return _quotient(a, b)

    assert before(1.0, 0.0) == np.inf
    with pytest.raises(ZeroDivisionError):
        foreign(1.0, 0.0)  # type: ignore[type-var, call-arg]
    assert after(1.0, 0.0) == np.inf


@kernel
def _allocates(size: int) -> Any:
    return np.empty(size)


def test_a_kernel_cannot_allocate() -> None:
    with pytest.raises(numba.core.errors.NumbaError, match="empty"):
        _allocates(3)


PROGRAM = """
import sys
from heartbench.simulator import counter_rng
before = counter_rng.uniform(counter_rng.key(1, 2, 3), 4)
print(before.hex(), sum(counter_rng.key.stats.cache_hits.values()))
"""

DECLARING = "from heartbench.simulator.kernel import kernel; kernel(lambda: None)"


def ended(program: str, variable: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program in a new process that caches in `folder`."""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment[variable] = str(folder)
    return subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)


def run(variable: str, folder: Path) -> tuple[str, str, str]:
    """Return a draw, how many kernels came from the cache in `folder`, and standard error, of a new process."""
    process = ended(PROGRAM, variable, folder)
    draw, hits = process.stdout.split()
    return draw, hits, process.stderr


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR"])
def test_compiled_code_is_cached_for_the_next_process(variable: str, tmp_path: Path) -> None:
    (first, missed, report), (second, hit, silence) = run(variable, tmp_path), run(variable, tmp_path)
    assert first == second
    assert (missed, hit) == ("0", "1")
    assert report.startswith("heartbench: compiling its loops, once for this version\n")
    assert not silence
    (digest,) = (tmp_path / "heartbench").iterdir()
    assert list(digest.iterdir())


def test_of_processes_that_need_a_kernel_at_once_one_compiles_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: run("NUMBA_CACHE_DIR", tmp_path), range(3)))
    assert sorted(hits for _, hits, _ in found) == ["0", "1", "1"]


def test_nothing_is_cached_if_the_folder_cannot_be_written(tmp_path: Path) -> None:
    no_folder = tmp_path / "file"
    no_folder.touch()
    draw, hits, report = run("XDG_CACHE_HOME", no_folder)
    assert (float.fromhex(draw), hits) == (counter_rng.uniform(counter_rng.key(1, 2, 3), 4), "0")
    assert "no folder to cache them in" in report


def test_the_cache_of_older_sources_is_deleted_unless_it_may_be_in_use(tmp_path: Path) -> None:
    day_s = 86400.0
    ages_s = {"a" * 16: 30 * day_s, "b" * 16: 9 * day_s, "c" * 16: 8 * day_s, "d" * 16: 8 * day_s - 60.0}
    recent = {f"{number:016x}": number * day_s for number in range(1, 6)}
    for name, age_s in {**ages_s, **recent, "not-a-digest": 30 * day_s}.items():
        (tmp_path / "heartbench" / name).mkdir(parents=True)
        os.utime(tmp_path / "heartbench" / name, (time.time() - age_s,) * 2)

    ended(DECLARING, "XDG_CACHE_HOME", tmp_path)

    left = {folder.name for folder in (tmp_path / "heartbench").iterdir()}
    assert left & {*ages_s, *recent, "not-a-digest"} == {*recent, "not-a-digest"}
    assert len(left) == len(recent) + 2


def test_the_newest_few_are_kept_whatever_their_age(tmp_path: Path) -> None:
    for age in range(1, 6):
        folder = tmp_path / "heartbench" / f"{age:016x}"
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age * 30 * 86400.0,) * 2)

    ended(DECLARING, "XDG_CACHE_HOME", tmp_path)

    left = sorted(folder.name for folder in (tmp_path / "heartbench").iterdir())
    assert len(left) == 4
    assert {f"{age:016x}" for age in range(1, 4)} < set(left)
