"""What is stored of a node beside its chunks. Times are wall clock: no monotonic clock outlives its process."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Self

from heartbench.hub.liveness.rules import Reason, Status


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as the hub last knew it: status, session, flaps.

    Attributes:
        node_id: The name that the node gives in its Hello.
        status: Last status.
        reason: Of the last change of status.
        changed_unix_s: When the status last changed, s since the Unix epoch.
        heard_unix_s: The last sign of life that was known when this was stored, s since the Unix epoch.
        boot_id: Of the newest session.
        connection: Of the newest session.
        flaps_unix_s: The flaps within the flap window, oldest first, s since the Unix epoch.
        flapping: Whether the node was marked as flapping.
        heartbeat_interval_s: Heartbeat interval that the node announced, s; 0: none.
        heartbeats: Heartbeats received from this node, over all sessions.
        labels: As in its Hello.
        detector: Name of the detector that judged the node.
        detector_state: What that detector remembers, times relative to the last sign of life.
    """

    node_id: str
    status: Status
    reason: Reason
    changed_unix_s: float = 0.0
    heard_unix_s: float = 0.0
    boot_id: int = 0
    connection: int = 0
    flaps_unix_s: tuple[float, ...] = ()
    flapping: bool = False
    heartbeat_interval_s: float = 0.0
    heartbeats: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    detector: str = ""
    detector_state: tuple[float, ...] = ()

    def to_json(self) -> str:
        """The form in which every store keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote; fields that this version does not know are passed over."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in json.loads(text).items() if key in known}
        values["status"], values["reason"] = Status(values["status"]), Reason(values["reason"])
        for name in ("flaps_unix_s", "detector_state"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)
