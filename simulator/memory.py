"""Numbers that a kernel reads from an array of which it has only the address.

A record has a fixed size, so a table of any length cannot lie in it; the table's address can. Whoever puts an address
into a record keeps the array alive as long as the record, and knows that it means nothing in another process.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import extending, types
from numpy.typing import NDArray

BYTES = 8

_extending: Any = extending  # whose annotations do not know the options below
_types: Any = types


def address_of(numbers: NDArray[np.float64]) -> int:
    """Return the address of a contiguous array."""
    if not numbers.flags.c_contiguous or numbers.dtype != np.float64:
        raise ValueError("expected a contiguous array of float64")
    return numbers.ctypes.data


def number_at(address: int, index: int) -> float:
    """Return item `index` of the array at `address`."""
    return ctypes.c_double.from_address(int(address + BYTES * index)).value


def _load(_: Any, address: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return the type and the code of `number_at` in a kernel: one load."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], context.get_value_type(_types.CPointer(_types.float64)))
        return builder.load(builder.gep(pointer, [arguments[1]]))

    return _types.float64(address, index), generate


_compiled_load = _extending.intrinsic(_load)


@_extending.overload(number_at, inline="always", strict=False)  # type: ignore[untyped-decorator]
def _compiled(address: Any, index: Any) -> Callable[[Any, Any], Any]:  # noqa: ARG001 (types, which Numba matches)
    return lambda address, index: _compiled_load(address, index)  # noqa: PLW0108 (Numba wants a Python function)
