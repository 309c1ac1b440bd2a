"""The reference hub: which nodes are online, which are stale, and the newest output of each.

`python -m heartbench.hub` is the hub as a process. These names are what a program needs that judges nodes itself:

    HubSettings, HubError       the settings of a hub, checked; the base of all its errors
    PolicySpec                  how nodes are judged: the parameters of a detector, and a rule for flapping
    FixedTimeout, Chen          parameters of detectors
    FlapWindow, WeightedShare, FlapDecay    rules for when a node counts as flapping
    HoldDown                    how long a stale node must be heard before it is online again
    Registry, Hello, Node       all known nodes; how a node introduces itself; the record of one
    Change, Status, Reason      what changed about a node, and why

Each call of the registry gets the time in s, on a clock that never goes back, and returns what changed:

    registry = Registry(PolicySpec(FixedTimeout(30.0), FlapWindow(60.0, threshold=3, exit_below=1)))
    session, changes = registry.hello(Hello("node-1", boot_id=1, connection=1), now=0.0)
    registry.heartbeat(session, now=10.0)
    registry.sweep(now=41.0)  # [Change(at_s=40.0, node_id='node-1', status=<Status.STALE: 'stale'>, …)]
"""

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.liveness.adaptive import Adaptive
from heartbench.hub.liveness.bertier import Bertier
from heartbench.hub.liveness.chen import Chen
from heartbench.hub.liveness.detector import DetectorParameters
from heartbench.hub.liveness.detector_text import parse_detector, written
from heartbench.hub.liveness.fixed_timeout import FixedTimeout
from heartbench.hub.liveness.flap_rules import FlapDecay, FlapRule, FlapWindow, WeightedShare
from heartbench.hub.liveness.hold_down import HoldDown
from heartbench.hub.liveness.node import Hello, Node
from heartbench.hub.liveness.phi import Phi, PhiExponential
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.liveness.two_window import TwoWindow

__all__ = [
    "Adaptive",
    "Bertier",
    "Change",
    "Chen",
    "DetectorParameters",
    "FixedTimeout",
    "FlapDecay",
    "FlapRule",
    "FlapWindow",
    "Hello",
    "HoldDown",
    "HubError",
    "HubSettings",
    "Node",
    "Phi",
    "PhiExponential",
    "PolicySpec",
    "Reason",
    "Registry",
    "Status",
    "TwoWindow",
    "WeightedShare",
    "parse_detector",
    "written",
]
