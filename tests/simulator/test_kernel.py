"""Kernels: the same answer from Python, from another kernel and as plain Python; compiled once for each type."""

import gc
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.extending import overload

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


def _swapped_in_a_loop(x: float, n: int) -> float:
    a, b = x, 1.0
    for i in range(n):
        if i % 3 == 2:
            continue
        a, b = b, a + b
        if a > 50.0:
            break
    else:
        b = -b
    return a - b


def _of_two_types(x: float, n: int) -> float:
    found: Any = n + 2**53  # beyond it floats skip the odd numbers
    odd = (found + 1) % 2
    if x > 0.5:
        found = x / 2.0
    return odd + found / 4.0


def _by_tuples(x: float, n: int) -> float:
    mixed = (n, x, 2.5)
    last, first = mixed[2], mixed[0]
    return first + mixed[1] * last if x < n else last


def _by_powers(x: float, n: int) -> float:
    return x**2 - x**3 + 2.0**n + (n << 2) % 7 - (-n) // 3 + abs(-x)


def _leaves_early(x: float, n: int) -> float:
    while n >= 0:
        if x < n and (n % 2 == 0 or x > 1.0):
            return min(x, 7.0) + max(n, 3)
        n -= 1
    return x


@pytest.mark.parametrize(
    "function", [_swapped_in_a_loop, _of_two_types, _by_tuples, _by_powers, _leaves_early], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("compiled", [kernel, part])
def test_what_kernels_are_written_with_is_as_in_plain_python(function: Any, compiled: Any) -> None:
    direct, inner = kernel(function), compiled(function)

    @kernel
    def outer(x: float, n: int) -> float:
        return inner(x, n) + inner(x, 4)

    for x in (-1.5, 0.0, 0.75, 3.25, 1e9):
        for n in range(12):
            assert direct(x, n) == function(x, n)
            assert outer(x, n) == function(x, n) + function(x, 4)


def _quotient(a: float, b: float) -> float:
    return a / b


@overload(_quotient)
def _compile_quotient(a: float, b: float) -> Any:
    return _quotient


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
        foreign(1.0, 0.0)
    assert after(1.0, 0.0) == np.inf


def _allocates(size: int) -> Any:
    return np.empty(size)


def _yields(size: int) -> Any:
    yield size


def _raises(size: int) -> int:
    if size:
        raise ValueError
    return size


def _with_a_closure(size: int) -> Any:
    def inner() -> int:
        return size

    return inner()


def _asserts(size: int) -> int:
    assert size > 0
    return size


def _enters(size: int) -> int:
    with suppress(ValueError):
        size += 1
    return size


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (_allocates, "empty"),
        (_yields, "cannot yield"),
        (_raises, "raise"),
        (_with_a_closure, "make_function"),
        (_asserts, None),
        (_enters, None),
    ],
)
def test_what_kernels_cannot_do_is_refused_wherever_they_are_called(function: Any, why: str | None) -> None:
    refused = kernel(function)

    @kernel
    def outer(size: int) -> Any:
        return refused(size)

    for call in (refused, outer):
        with pytest.raises(numba.core.errors.NumbaError, match=why):
            call(3)


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize(("function", "args"), [(_by_powers, (1.5, 2)), (_allocates, (3,))])
def test_garbage_is_collected_after_a_kernel_was_compiled_as_before(function: Any, args: Any, collects: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        gc.enable() if collects else gc.disable()
        with suppress(numba.core.errors.NumbaError):
            kernel(function)(*args)
        assert gc.isenabled() is collects
    finally:
        gc.enable() if was_enabled else gc.disable()


PROGRAM = """
import sys
from heartbench.simulator import counter_rng
before = counter_rng.uniform(counter_rng.key(1, 2, 3), 4)
print(before.hex(), sum(counter_rng.key.stats.cache_hits.values()))
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
