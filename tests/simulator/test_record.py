"""Records: one declaration gives the dtype, a record and its reset."""

from math import inf
from typing import Annotated

import numpy as np

from heartbench.simulator.record import Array, Record, dtype_of, new, resetter


class Inner(Record):
    at_s: float = 1.0


class Outer(Record):
    count: int = 3
    small: Annotated[int, "i4"]
    is_on: bool = True
    due_s: float = -inf
    draws: np.uint64
    table: Annotated[Array[Array[float]], (2, 4)]
    inner: Inner
    inners: Annotated[Array[Inner], 5]


def test_fields_have_the_declared_types_shapes_and_order() -> None:
    inner = np.dtype([("at_s", "f8")], align=True)
    fields = [("count", "i8"), ("small", "i4"), ("is_on", "?"), ("due_s", "f8"), ("draws", "u8")]
    assert dtype_of(Outer) == np.dtype(
        [*fields, ("table", "f8", (2, 4)), ("inner", inner), ("inners", inner, (5,))], align=True
    )


def test_a_reset_sets_the_defaults_and_nothing_else() -> None:
    record = new(Outer)
    record.small = 7
    record.inner.at_s = 2.0
    resetter(Outer)(record)
    assert (record.count, record.small, record.is_on, record.due_s, record.inner.at_s) == (3, 7, True, -inf, 2.0)
