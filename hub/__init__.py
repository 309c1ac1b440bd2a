"""The reference hub: which nodes are online, which are stale, and the newest output of each."""

from heartbench.hub.clock import Clock, ManualClock, SystemClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.events.observer_file import read_records
from heartbench.hub.events.replay import recorded_changes, replay
from heartbench.hub.events.types import Change, Event, EventsLost
from heartbench.hub.liveness.chen import Chen
from heartbench.hub.liveness.detector import Detector, DetectorParameters
from heartbench.hub.liveness.fixed_timeout import FixedTimeout
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Hello, Node, Registry, Session
from heartbench.hub.liveness.rules import FlapRule, Reason, Status

__all__ = [
    "Change",
    "Chen",
    "Clock",
    "Detector",
    "DetectorParameters",
    "Event",
    "EventsLost",
    "FixedTimeout",
    "FlapRule",
    "Hello",
    "HubError",
    "HubSettings",
    "ManualClock",
    "Node",
    "PolicySpec",
    "Reason",
    "Registry",
    "Session",
    "Status",
    "SystemClock",
    "open_hub",
    "read_records",
    "recorded_changes",
    "replay",
]
