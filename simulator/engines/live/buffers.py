"""Arrays that a shard fills, and that grow when they are full."""

from typing import Any

import numpy as np

LEAST_MORE = 16  # least growth; an old connection takes 200 KiB, so the first buffer has room for few


def records(count: int, dtype: Any) -> Any:
    """Return records of `dtype`, all zero."""
    return np.zeros(count, dtype).view(np.recarray)


def grown(column: Any) -> Any:
    """Return a copy that is half as large again; what is new is zero."""
    length = len(column) + max(len(column) // 2, LEAST_MORE)
    more = np.zeros((length, *column.shape[1:]), column.dtype)
    more[: len(column)] = column
    return more.view(np.recarray) if column.dtype.names else more
