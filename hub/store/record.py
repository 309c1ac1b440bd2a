"""What is stored of a node beside its chunks. Times are wall clock: no monotonic clock outlives its process."""

from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from heartbench.hub.liveness.rules import Reason, Status


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as the hub last knew it: status, session, flaps."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="constants")

    node_id: str
    status: Status
    reason: Reason  # of the last change of status
    changed_unix_s: float = 0.0  # when the status last changed
    heard_unix_s: float = 0.0  # last sign of life that was known when this was stored
    boot_id: int = 0  # of the newest session, as is the next
    connection: int = 0
    flaps_unix_s: tuple[float, ...] = ()  # within the flap window, oldest first
    flapping: bool = False
    heartbeat_interval_s: float = 0.0  # that the node announced; 0: none
    heartbeats: int = 0  # over all sessions
    labels: dict[str, str] = field(default_factory=dict)
    detector: str = ""  # name of the detector that judged the node
    detector_state: tuple[float, ...] = ()  # what it remembers, times relative to the last sign of life

    def to_json(self) -> str:
        """Return the form in which every store keeps it."""
        return JSON.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "NodeRecord":
        """Read what `to_json` wrote; fields that this version does not know are ignored."""
        return JSON.validate_json(text)


JSON = TypeAdapter(NodeRecord)
