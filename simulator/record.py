"""Records: the structured arrays that kernels work on, each declared once.

    class Packet(Record):
        arrives_s: float
        kind: Annotated[int, "i4"]
        times_s: Annotated[Array[float], 8] ...

    dtype_of(Packet)    its NumPy dtype, with aligned fields
    new(Packet)         one of them, all zero
    resetter(Packet)    a kernel that sets each field with a default in the declaration to that default

To the type checker a record is an object of its class; the class is never instantiated.
"""

from collections.abc import Callable, Hashable
from functools import cache
from math import inf, nan
from typing import Annotated, Any, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np

from heartbench.simulator.kernel import part

Item = TypeVar("Item")


class Record:
    """Base of all declarations."""


class Array(Protocol[Item]):
    """A field with several items; its shape is the second argument of `Annotated`."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Item: ...
    def __setitem__(self, index: int, value: Item, /) -> None: ...


Declared = TypeVar("Declared", bound=Record)
_FORMATS = {float: "f8", int: "i8", bool: "?", np.uint64: "u8"}


@cache  # reading type hints takes longer than to make a record
def dtype_of(declaration: type[Record]) -> np.dtype[np.void]:
    """Return the dtype of a declaration."""
    hints = get_type_hints(declaration, include_extras=True)
    return np.dtype([(name, *_format(hint)) for name, hint in hints.items()], align=True)


def _format(hint: Any) -> tuple[Any, ...]:
    """Return dtype and shape of a field, as a field of `np.dtype` has them."""
    if get_origin(hint) is not Annotated:
        return (dtype_of(hint) if issubclass(hint, Record) else _FORMATS[hint],)
    item, shape_or_format = get_args(hint)
    if isinstance(shape_or_format, str):
        return (shape_or_format,)
    while get_origin(item) is Array:
        (item,) = get_args(item)
    return *_format(item), shape_or_format


def new(declaration: type[Declared]) -> Declared:
    """Return a record with all fields zero."""
    hashable = cast("Hashable", declaration)  # mypy does not know that every class is
    return cast("Declared", np.zeros(1, dtype_of(hashable)).view(np.recarray)[0])


def resetter(declaration: type[Declared]) -> Callable[[Declared], None]:
    """Return a kernel that resets a record; fields without a default keep their value."""
    defaults = [name for name in declaration.__annotations__ if hasattr(declaration, name)]
    lines = ["def reset(record):", *(f"    record.{name} = {getattr(declaration, name)!r}" for name in defaults)]
    names: dict[str, Any] = {"__name__": declaration.__module__, "inf": inf, "nan": nan}
    exec("\n".join(lines), names)  # noqa: S102 (Numba compiles no loop over fields of several types)
    return cast("Callable[[Declared], None]", part(names["reset"]))
