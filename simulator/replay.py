"""A recorded link in a scenario: which recording a group's links replay, and how.

    link = "day.log"        the file alone, or as a table: link = { file = "day.log", shift = false }

The file is whatever `simulator.recordings` reads, or a trace of Mahimahi, with another one for the way down if it
differs. A resolved scenario holds their whole paths and a digest, so that a run is repeated with the same recording or
not at all. `simulator.recorded_link` models what such a link does to a packet.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from heartbench.simulator import recordings
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link_records import DOWN, LINK, UP
from heartbench.simulator.mahimahi import Trace, is_mahimahi, read_mahimahi
from heartbench.simulator.memory import address_of
from heartbench.simulator.recorded_link import OPPORTUNITIES, REPLAY
from heartbench.simulator.replay_link import FROM, TO
from heartbench.simulator.tape import Loop, loop_of
from heartbench.simulator.tomlfile import Duration, Table

Ways = tuple[Trace, Trace]
Floats = NDArray[np.float64]

_KEPT: dict[tuple[tuple[str, ...], str], Loop | Ways] = {}
"""What was read, by files and digest. It is kept for as long as the process lives, because links hold its addresses."""

RTT_SAMPLES = 100_001
CHUNK_BYTES = 1 << 20


class Replay(Table):
    """A link that replays a recording."""

    file: str = Field(min_length=1, description="path of the recording: a log of probes, or a trace of Mahimahi")
    down_file: str | None = Field(None, description="trace of Mahimahi for the way down; default: that of `file`")
    digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the files' content, which must not change; default: that of the files as they are"
    )
    shift: bool = Field(
        True, description="whether each node begins at a random place of the recording, not all at its beginning"
    )
    base_delay_s: Duration = Field(0.0, description="one-way delay beyond the waiting, with a trace of Mahimahi")
    mss_bytes: int = Field(1448, ge=88, le=65483, description="TCP payload of a full packet, bytes")

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files."""
        return (self.file,) if self.down_file is None else (self.file, self.down_file)

    @property
    def observed_s(self) -> float:
        """Length of the recording, s; of two traces, that of the longer."""
        found = recorded_in(self.files, self.digest)
        return found.length_s if isinstance(found, Loop) else max(way.length_s for way in found)

    def rtt_quantile(self, probability: Floats) -> Floats:
        """Return quantiles of the round-trip time, s: of the probes that were answered, or of a small packet alone."""
        found = recorded_in(self.files, self.digest)
        if isinstance(found, Loop):
            return np.asarray(np.nanquantile(recordings.read_recording([Path(self.file)]).rtt_s, probability))
        sent_s = np.linspace(0.0, found[UP].length_s, RTT_SAMPLES)
        up_s = found[UP].waits_s(sent_s) + self.base_delay_s
        return np.asarray(np.quantile(up_s + found[DOWN].waits_s(sent_s + up_s) + self.base_delay_s, probability))

    def outage_lengths_s(self) -> Floats:
        """Return the length of each outage of the way up, s."""
        found = recorded_in(self.files, self.digest)
        outages = found.outages if isinstance(found, Loop) else found[UP].holds
        return np.asarray(outages[:, TO] - outages[:, FROM])

    def to_link(self) -> NDArray[np.void]:
        """Return the tables of `simulator.link`: an array of one LINK record.

        Raises:
            SimulatorError: a file cannot be read or replayed, or has another digest.
        """
        link = np.zeros(1, LINK)
        link["mss_bytes"] = self.mss_bytes
        self.attach(link)
        return link

    def attach(self, link: NDArray[np.void]) -> None:
        """Put the recording's tables into a link, as they lie in the memory of this process."""
        found, tables = recorded_in(self.files, self.digest), link[0]["recorded"]
        tables["shift_within_s"] = self.observed_s if self.shift else 0.0
        if isinstance(found, Loop):
            tables["model"] = REPLAY
            _attach_loop(found, tables["tape"])
        else:
            tables["model"] = OPPORTUNITIES
            tables["opportunities"]["base_s"] = self.base_delay_s
            _attach_ways(found, tables["opportunities"])


def _attach_loop(loop: Loop, tape: Any) -> None:
    tape["length_s"] = loop.length_s
    for direction in (UP, DOWN):
        tape["delays"][direction] = address_of(loop.ways[direction])
        tape["delay_rows"][direction] = len(loop.ways[direction])
    tape["outages"], tape["outage_rows"] = address_of(loop.outages), len(loop.outages)


def _attach_ways(ways: Ways, opportunities: Any) -> None:
    for direction, trace in enumerate(ways):
        opportunities["length_s"][direction] = trace.length_s
        opportunities["times"][direction] = address_of(trace.times_s)
        opportunities["count"][direction] = len(trace.times_s)
        opportunities["holds"][direction] = address_of(trace.holds)
        opportunities["hold_rows"][direction] = len(trace.holds)


def recorded_in(files: tuple[str, ...], digest: str) -> Loop | Ways:
    """Return what is recorded in files, which stays at its place in memory.

    Raises:
        SimulatorError: a file cannot be read or replayed, or has another digest.
    """
    if (files, digest) not in _KEPT:
        found = digest_of(files)
        if found != digest:
            raise SimulatorError(f"{', '.join(files)}: has changed: its digest is {found}; expected {digest}")
        _KEPT.setdefault((files, digest), _read(*map(Path, files)))  # one is kept if two threads get here
    return _KEPT[files, digest]


def _read(up: Path, down: Path | None = None) -> Loop | Ways:
    if is_mahimahi(up):
        return read_mahimahi(up, UP), read_mahimahi(down or up, DOWN)
    if down is not None:
        raise SimulatorError(
            f"{up}: is not a trace of Mahimahi, so the way down has no file of its own; drop down_file"
        )
    return loop_of(recordings.read_recording([up]))


def resolved(link: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the data of a recorded link with whole paths and the digest.

    Raises:
        SimulatorError: a file cannot be read or replayed, or has another digest.
    """
    keys = [key for key in ("file", "down_file") if key in link]
    paths = {key: str((folder / Path(str(link[key])).expanduser()).resolve()) for key in keys}
    files = tuple(paths.values())
    digest = str(link.get("digest", "")) or digest_of(files)
    if isinstance(recorded_in(files, digest), Loop) and link.get("base_delay", "0s") not in ("0s", 0):
        raise SimulatorError(f"{files[0]}: has delays of its own; drop base_delay, which is for a trace of Mahimahi")
    return {**link, **paths, "digest": digest}


def digest_of(files: tuple[str, ...]) -> str:
    """Return the SHA-256 of the content of files, one after the other.

    Raises:
        SimulatorError: one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            with open(file, "rb") as content:
                while chunk := content.read(CHUNK_BYTES):
                    digest.update(chunk)
        except (OSError, ValueError) as error:
            raise SimulatorError(f"{file}: cannot be read: {getattr(error, 'strerror', error)}") from error
    return f"sha256:{digest.hexdigest()}"
