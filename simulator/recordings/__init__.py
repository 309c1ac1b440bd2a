"""Measured networks: what a probe saw, read from the logs of the tools that people have."""

from heartbench.simulator.recordings.columns import Columns
from heartbench.simulator.recordings.parquet import write_recording
from heartbench.simulator.recordings.read import read_recording
from heartbench.simulator.recordings.recording import Recording

__all__ = ["Columns", "Recording", "read_recording", "write_recording"]
