"""Node leases of Kubernetes in the API server's audit log: one event per line (audit.k8s.io/v1).

An `update` or `patch` of a lease in kube-node-lease that succeeded is a heartbeat, received at
`requestReceivedTimestamp` by the API server's clock: kubernetes.io/docs/reference/config-api/apiserver-audit.v1. Of the
stages of a request ResponseComplete counts, so that none counts twice; an audit policy with `omitStages:
[RequestReceived]` or without is the same here. A node that registers (`create` of nodes by system:node:NAME, also if it
exists already) has started its kubelet.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from heartbench.analysis.imports.formats.documents import is_cut
from heartbench.analysis.imports.formats.json_lines import parsed
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Rows, Stated
from heartbench.analysis.imports.sources import Source, blocks, quoted
from heartbench.analysis.imports.times import dates

NAMESPACE = "kube-node-lease"
RENEWALS = ("update", "patch", "create")
KUBELET = "system:node:"
SCHEMA = pa.schema(
    {
        "stage": pa.string(),
        "verb": pa.string(),
        "user": pa.struct([("username", pa.string())]),
        "objectRef": pa.struct([("resource", pa.string()), ("namespace", pa.string()), ("name", pa.string())]),
        "responseStatus": pa.struct([("code", pa.int64())]),
        "requestReceivedTimestamp": pa.string(),
    }
)


def read(source: Source, options: ImportOptions) -> Iterator[Read]:
    """Yield the renewals of leases that an API server received."""
    starts: dict[str, int] = {}
    for block in blocks(source):
        if not block.text.strip():
            continue
        if block.is_rest and is_cut(block.text.strip()):
            yield Stated(note=block.left_out())
            continue
        table = parsed(block, SCHEMA).flatten()
        events = table.rename_columns([name.rpartition(".")[2] for name in table.column_names]).to_pandas()
        events = events[events.stage == "ResponseComplete"]
        renewed = (events.resource == "leases") & (events.namespace == NAMESPACE) & events.verb.isin(RENEWALS)
        renewed &= ~(events.code >= 400)
        started = (events.resource == "nodes") & (events.verb == "create")
        started &= events.username.str.startswith(KUBELET, na=False)
        events = events[renewed | started]
        at_s = dates(events.requestReceivedTimestamp.to_numpy(object))
        started = started[events.index]
        wrong = np.isnan(at_s) | (events["name"].isna() & ~started).to_numpy()
        if wrong.any():
            line = block.filled(int(events.index[int(np.argmax(wrong))]))
            text = block.text.split(b"\n")[line]
            raise block.error(line, f"{quoted(text)}: expected objectRef.name and a date in requestReceivedTimestamp")
        nodes = events["name"].where(~started, events.username.str.removeprefix(KUBELET))
        boot = started.astype(int).groupby(nodes).cumsum() + nodes.map(starts).fillna(0).astype(int)
        starts.update(boot.groupby(nodes).last())
        chosen = ~started.to_numpy()
        yield Rows.of(nodes.to_numpy(object)[chosen], at_s[chosen], boot=np.asarray(boot, np.int64)[chosen])
