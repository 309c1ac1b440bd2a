"""`heartbench stats`: print the figures of a running hub."""

from heartbench.cli.credential_options import Cert, Key, TlsCa, Token
from heartbench.cli.inspection import ANSWER_S, AsJson, HubAddress, admin_at, as_dict, shown
from heartbench.cli.output import print_json, print_table
from heartbench.mesh.credentials import load_credentials
from heartbench.mesh.v1 import mesh_pb2 as pb


def stats(
    hub: HubAddress,
    tls_ca: TlsCa = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print a hub's figures, as in its log and its metrics."""
    with admin_at(hub, load_credentials(tls_ca, cert, key, token)) as admin:
        figures = as_dict(admin.GetStats(pb.GetStatsRequest(), timeout=ANSWER_S))
    if as_json:
        print_json({"schema": "heartbench.stats/1", **figures})
        return
    parts = {name: part for name, part in figures.items() if isinstance(part, dict)}
    plain = {name: value for name, value in figures.items() if name not in parts}
    for title, part in {hub: plain, **parts}.items():
        print_table(title, ("figure", "value"), [(name, shown(value)) for name, value in part.items()])
