"""Measured networks: what a probe saw, read from the logs of the tools that people have.

What reads and writes files is imported on first use, because it loads pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from heartbench.simulator.recordings.recording import Recording

if TYPE_CHECKING:
    from heartbench.simulator.recordings.columns import Columns
    from heartbench.simulator.recordings.parquet import write_recording
    from heartbench.simulator.recordings.read import read_recording

__all__ = ["Columns", "Recording", "read_recording", "write_recording"]

_MODULES = {"Columns": "columns", "read_recording": "read", "write_recording": "parquet"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
