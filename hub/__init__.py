"""The reference hub: who is there, who went silent, and what each node last said."""

from heartbench.hub.clock import Clock, SystemClock, ToldClock
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.events import Change, Event, EventsLost
from heartbench.hub.liveness import Detector, FixedTimeout, FlapRule, Reason, Status
from heartbench.hub.observer import Kind
from heartbench.hub.registry import Hello, Node, Registry, Session
from heartbench.hub.replay import read_records, recorded_changes, replay

__all__ = [
    "Change",
    "Clock",
    "Detector",
    "Event",
    "EventsLost",
    "FixedTimeout",
    "FlapRule",
    "Hello",
    "HubError",
    "HubSettings",
    "Kind",
    "Node",
    "Reason",
    "Registry",
    "Session",
    "Status",
    "SystemClock",
    "ToldClock",
    "read_records",
    "recorded_changes",
    "replay",
]
