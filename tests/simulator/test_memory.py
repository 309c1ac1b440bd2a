"""Kernels read an array by its address, compiled and as plain Python."""

import numpy as np
import pytest

from heartbench.simulator.kernel import kernel
from heartbench.simulator.memory import address_of, number_at

NUMBERS = np.array([1.5, -2.0, np.inf])


@kernel
def sum_of(address: int, count: int) -> float:
    total = 0.0
    for i in range(count):
        total += number_at(address, i)
    return total


def test_a_kernel_and_plain_python_read_the_same() -> None:
    assert sum_of(address_of(NUMBERS), 2) == sum_of.py_func(address_of(NUMBERS), 2) == -0.5


@pytest.mark.parametrize("numbers", [NUMBERS[::2], NUMBERS.astype(np.float32)])
def test_only_a_contiguous_array_of_doubles_has_an_address(numbers: np.ndarray) -> None:
    with pytest.raises(ValueError, match="contiguous array of float64"):
        address_of(numbers)
