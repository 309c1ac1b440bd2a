"""What is stored of a node beside its chunks. Times are wall clock: no monotonic clock outlives its process."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter

from heartbench.hub.liveness.rules import Reason, Status

UnixTime = Annotated[float, Field(allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as the hub last knew it: status, session, flaps."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="constants")

    node_id: str
    status: Status
    reason: Reason  # of the last change of status
    changed_unix_s: UnixTime = 0.0  # when the status last changed
    heard_unix_s: UnixTime = 0.0  # last sign of life that was known when this was stored
    boot_id: Natural = 0  # of the newest session, as is the next
    connection: Natural = 0
    flaps_unix_s: tuple[UnixTime, ...] = ()  # what that rule remembers of the flaps
    flapping: bool = False
    heartbeat_interval_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0  # that the node announced; 0: none
    heartbeats: Natural = 0  # over all sessions
    labels: dict[str, str] = field(default_factory=dict)
    flap_rule: str = "window"  # name of the rule that remembers the flaps
    detector: str = ""  # name of the detector that judged the node
    detector_state: tuple[float, ...] = ()  # what it remembers, times relative to the last sign of life

    def to_json(self) -> str:
        """Return the form in which every store keeps it."""
        return JSON.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "NodeRecord":
        """Read what `to_json` wrote; fields that this version does not know are ignored, ValidationError for others."""
        return JSON.validate_json(text)


JSON = TypeAdapter(NodeRecord)
