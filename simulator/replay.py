"""A recorded link in a scenario: which recording a group's links replay, and how.

    link = "day.parquet"        the file alone, or as a table: link = { file = "day.parquet", shift = false }

The file is whatever `simulator.recordings` reads. A resolved scenario holds its whole path and its digest, so that a
run is repeated with the same recording or not at all. `simulator.replay_link` models what such a link does to a packet.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link_records import DOWN, LINK, REPLAY, UP
from heartbench.simulator.memory import address_of
from heartbench.simulator.recordings import Recording, read_recording
from heartbench.simulator.replay_link import FROM, TO
from heartbench.simulator.tape import Loop, loop_of
from heartbench.simulator.tomlfile import Table

_LOOPS: dict[tuple[str, str], Loop] = {}
"""The loops by file and digest, kept for as long as the process lives, because links hold their addresses."""

Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]


class Replay(Table):
    """A link that replays a recording."""

    file: str = Field(min_length=1, description="path of the recording")
    digest: Digest = Field(description="SHA-256 of the file, which must not change; default: that of the file as it is")
    shift: bool = Field(
        True, description="whether each node begins at a random place of the recording, not all at its beginning"
    )
    mss_bytes: int = Field(1448, ge=88, le=65483, description="TCP payload of a full packet, bytes")

    def recording(self) -> Recording:
        """Return the recording.

        Raises:
            SimulatorError: the file cannot be read, or is not the one with this digest.
        """
        return _read(self.file, self.digest)

    @property
    def observed_s(self) -> float:
        """Length of the loop, s."""
        return loop_in(self.file, self.digest).length_s

    def rtt_quantile(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return quantiles of the round-trip time of the probes that were answered, s."""
        return np.asarray(np.nanquantile(self.recording().rtt_s, probability))

    def outage_lengths_s(self) -> NDArray[np.float64]:
        """Return the length of each outage, s."""
        outages = loop_in(self.file, self.digest).outages
        return np.asarray(outages[:, TO] - outages[:, FROM])

    def to_link(self) -> NDArray[np.void]:
        """Return the tables of `simulator.link`: an array of one LINK record.

        Raises:
            SimulatorError: as `recording`, or it cannot be replayed.
        """
        link = np.zeros(1, LINK)
        link["model"], link["shift"], link["mss_bytes"] = REPLAY, self.shift, self.mss_bytes
        self.attach(link)
        return link

    def attach(self, link: NDArray[np.void]) -> None:
        """Put the recording's tables into a link, as they lie in the memory of this process."""
        loop = loop_in(self.file, self.digest)
        tape = link[0]["tape"]
        tape["length_s"] = loop.length_s
        for direction in (UP, DOWN):
            tape["delays"][direction] = address_of(loop.ways[direction])
            tape["delay_rows"][direction] = len(loop.ways[direction])
        tape["outages"], tape["outage_rows"] = address_of(loop.outages), len(loop.outages)


def loop_in(file: str, digest: str) -> Loop:
    """Return the recording in a file as a loop, which stays at its place in memory.

    Raises:
        SimulatorError: as `Replay.recording`, or it cannot be replayed.
    """
    if (file, digest) not in _LOOPS:
        _LOOPS.setdefault((file, digest), loop_of(_read(file, digest)))  # one is kept if two threads get here
    return _LOOPS[file, digest]


def _read(file: str, digest: str) -> Recording:
    found = digest_of(file)
    if found != digest:
        raise SimulatorError(f"{file}: has changed: its digest is {found}; expected {digest}")
    return read_recording([Path(file)])


def resolved(link: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the data of a recorded link with the file's whole path and its digest.

    Raises:
        SimulatorError: as `loop_in`.
    """
    file = str((folder / Path(str(link["file"])).expanduser()).resolve())
    digest = str(link.get("digest", "")) or digest_of(file)
    loop_in(file, digest)
    return {**link, "file": file, "digest": digest}


def digest_of(file: str) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        SimulatorError: it cannot be read.
    """
    try:
        with open(file, "rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
    except (OSError, ValueError) as error:
        raise SimulatorError(f"{file}: cannot be read: {getattr(error, 'strerror', error)}") from error
