"""From the registry's nodes to the store's records and back: what survives a restart of the hub.

Times in the store are wall clock; here they are mapped to the monotonic clock of this process. A node that was online
gets a grace period, whatever its last deadline was: the hub was away, not the node. What a detector remembers is
restored only into a detector of the same name, and a memory of flaps only into a flap rule of the same name.
"""

from math import inf

from heartbench.hub.clock import Clock
from heartbench.hub.liveness.node import Node
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Status
from heartbench.hub.store.record import NodeRecord


def record_of(node: Node, clock: Clock) -> NodeRecord:
    """Return what is stored of a node."""
    return NodeRecord(
        node_id=node.node_id,
        status=node.status,
        reason=node.reason,
        changed_unix_s=clock.unix(node.changed_s),
        heard_unix_s=clock.unix(node.heard_s),
        boot_id=node.boot_id,
        connection=node.connection,
        flaps_unix_s=tuple(clock.unix(flap_s) for flap_s in node.flaps),
        flapping=node.flapping,
        flap_rule=node.flap_rule,
        heartbeat_interval_s=node.interval_s,
        heartbeats=node.heartbeats,
        labels=dict(node.labels),
        detector=node.detector.name,
        detector_state=node.detector.state(node.heard_s),
    )


def node_of(record: NodeRecord, registry: Registry, clock: Clock, grace_s: float) -> Node:
    """Return a node as it was when last stored, not yet in the registry; if it was online it has `grace_s` from now."""
    now = clock.monotonic()
    node = registry.new_node(record.node_id, record.heartbeat_interval_s, record.labels)
    node.status, node.reason, node.flapping = record.status, record.reason, record.flapping
    node.changed_s = min(now, clock.at(record.changed_unix_s))
    node.heard_s = min(now, clock.at(record.heard_unix_s))
    node.boot_id, node.connection = record.boot_id, record.connection
    rule = registry.policy.flap_rule
    if record.flap_rule == rule.name:
        node.flaps = rule.restored(tuple(clock.at(flap_unix_s) for flap_unix_s in record.flaps_unix_s), now)
    node.heartbeats = record.heartbeats
    node.hello_heartbeats, node.hello_s = node.heartbeats, node.heard_s
    if record.detector == node.detector.name:
        node.detector.restore(record.detector_state, node.heard_s)
    if node.status is Status.ONLINE:
        node.deadline_s = node.detector.deadline_after_restart(node.heard_s)
        node.move_deadline(now + grace_s)
    else:
        node.deadline_s = -inf
    return node
