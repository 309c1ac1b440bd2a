"""Node leases of Kubernetes, polled or watched with kubectl: one document after the other.

    while sleep 5; do kubectl get leases -n kube-node-lease -o json; done > leases.json
    kubectl get leases -n kube-node-lease -o json --watch > leases.json

A kubelet renews the lease of its node every quarter of `leaseDurationSeconds` (40 s by default, so every 10 s):
kubernetes.io/docs/reference/node/node-status, "Heartbeats", and `nodeLeaseDurationSeconds` in KubeletConfiguration
v1beta1. `spec.renewTime` is the time of that by the node's own clock; each new one is a heartbeat. When the API server
got it is not in the log. Polls further apart than the renewals miss some of them.

Documents of nodes (`kubectl get leases,nodes -n kube-node-lease -o json`) tell restarts by `status.nodeInfo.bootID`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from heartbench.analysis.imports.formats.documents import Document, Object, at, documents
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import UNKNOWN, Read, Rows, Stated
from heartbench.analysis.imports.sources import Source, quoted
from heartbench.analysis.imports.times import dates

NAMESPACE = "kube-node-lease"
RENEWALS = 4
"""A kubelet renews a lease so many times in its duration."""
NOTE = (
    "The times are those at which the nodes renewed their leases, by their own clocks; when the hub saw it is not said."
)
AT_ONCE = 100_000


class _Renewal(NamedTuple):
    """A renewal of a node's lease: when, as written, and in the document that begins in which line."""

    node: str
    when: str
    boot: int
    line: int


def read(sources: Sequence[Source], options: ImportOptions) -> Iterator[Read]:
    """Yield the renewals of leases."""
    renewed: dict[str, str] = {}
    boots: dict[str, int] = {}
    numbers: dict[str, int] = {}
    found: list[_Renewal] = []
    notes = [NOTE]
    for source in sources:
        for document in documents(source, notes.append):
            items = [document.value, *document.items(document.value, "items")]
            for node in (each for each in items if at(each, "kind") == "Node"):
                boot = document.text(node, "status.nodeInfo.bootID")
                boots[document.text(node, "metadata.name")] = numbers.setdefault(boot, len(numbers))
            for lease in (each for each in items if at(each, "kind") == "Lease"):
                if at(lease, "metadata.namespace") not in (NAMESPACE, None) or at(lease, "spec.renewTime") is None:
                    continue
                name, when = document.text(lease, "metadata.name"), document.text(lease, "spec.renewTime")
                if name not in renewed:
                    yield _interval(document, lease)
                if renewed.get(name) != when:
                    renewed[name] = when
                    found.append(_Renewal(name, when, boots.get(name, UNKNOWN), document.line))
            if len(found) >= AT_ONCE:
                yield _rows(source, found)
                found = []
        yield _rows(source, found)
        found = []
    if not renewed:
        raise sources[0].error(1, f"it has no node lease; expected leases of {NAMESPACE} with a spec.renewTime")
    yield from (Stated(note=note) for note in notes)


def _interval(document: Document, lease: Object) -> Stated:
    """Return how often the node renews its lease."""
    if at(lease, "spec.leaseDurationSeconds") is None:
        return Stated()
    duration_s = document.number(lease, "spec.leaseDurationSeconds")
    if duration_s <= 0:
        raise document.error(f"spec.leaseDurationSeconds: {duration_s:g}: must be more than 0")
    return Stated(interval_s=duration_s / RENEWALS)


def _rows(source: Source, found: list[_Renewal]) -> Rows:
    at_s = dates([each.when for each in found])
    wrong = np.flatnonzero(np.isnan(at_s))
    if len(wrong):
        bad = found[wrong[0]]
        raise source.error(bad.line, f"spec.renewTime: {quoted(bad.when)}: not a date in ISO 8601")
    boot = np.array([each.boot for each in found], np.int64)
    return Rows.of([each.node for each in found], at_s, boot=boot)
