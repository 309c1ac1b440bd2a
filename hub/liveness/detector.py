"""A failure detector is one small idea, **a deadline**: after each sign of life, by when the next must have come.

A detector has two forms: the hub's, one object per node, defined here; and one over whole arrays of arrivals, in
`heartbench.analysis.policies`. To add a detector, add a module for each form and one line to `ARRAY_FORMS` there;
`tests/analysis/policies/test_outside_detector.py` shows all of it. Those of the package are `fixed_timeout.py`,
`chen.py`, `two_window.py`, `bertier.py` and `phi.py`; `detector_text.py` names them in the hub's settings.

Detectors read no clock. Pauses of the hub, mass silences and the grace after a restart are not their business: the hub
moves the deadlines that they return.
"""

from typing import ClassVar, Protocol

from heartbench.mesh.kinds import Kind


class Detector(Protocol):
    """A failure detector of one node."""

    name: ClassVar[str]
    """The name of its parameters, see there."""

    def observe(self, at: float, seq: int, kind: Kind) -> float:
        """Return the deadline of the next sign of life, s.

        Args:
            at: arrival of a sign of life, s on the hub's monotonic clock; never earlier than the one before.
            seq: number of a heartbeat, from 1 in each boot of the node; 0 for other kinds.
            kind: of the message. A Hello begins a stream; a CHUNK stands for everything that is no heartbeat.
        """

    def deadline_after_restart(self, heard_s: float) -> float:
        """Return the deadline, before any grace, of a node last heard at `heard_s`, in a hub that has just started."""

    def state(self, heard_s: float) -> tuple[float, ...]:
        """Return what must survive a restart, times as s relative to `heard_s`, the node's last sign of life."""

    def restore(self, state: tuple[float, ...], heard_s: float) -> None:
        """Continue from what `state` returned before a restart; `heard_s` is the same moment on the new clock."""


class DetectorParameters(Protocol):
    """A detector as data: a frozen dataclass of parameters from which detectors are made."""

    name: ClassVar[str]
    """The detector's name in stored records and in `heartbench.analysis.policies.ARRAY_FORMS`."""

    def detector(self, interval_s: float) -> Detector:
        """Return a detector for one node that announces `interval_s` between its heartbeats, s; 0: not announced."""

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the silence that such a node is usually allowed, s: what the hub announces in its Welcome."""
