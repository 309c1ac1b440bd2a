"""The other end of a call, as the services see it; they do not see gRPC."""

from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address

from heartbench.hub.errors import NotAllowedError
from heartbench.hub.printable import shown
from heartbench.hub.security.identity import Identity


@dataclass(frozen=True, slots=True)
class Peer:
    """Who calls: the address (HOST:PORT), and the identity of each credential that the hub asks for.

    A hub that asks for none has peers without identities, who may do everything.
    """

    address: str
    identities: tuple[Identity, ...] = ()

    def __str__(self) -> str:
        who = self.identity
        return f"{who} at {self.address}" if who else self.address

    @property
    def identity(self) -> str:
        """What its credentials say that it is; empty if the hub asks for none."""
        return " and ".join(map(str, self.identities))

    @property
    def key(self) -> str:
        """What limits per peer count by: the identity, else the host; of IPv6 the /64, which one host may use whole."""
        return self.identity or host_of(self.address)

    def require_node(self, node_id: str) -> None:
        """Raise NotAllowedError unless each credential allows the peer to be this node."""
        for identity in self.identities:
            if not identity.may_be(node_id):
                raise NotAllowedError(f"the credential of {identity} does not allow node_id {shown(node_id)}")

    def require_operator(self) -> None:
        """Raise NotAllowedError unless each credential is an operator's."""
        for identity in self.identities:
            if not identity.is_operator:
                raise NotAllowedError(f"the credential of {identity} is not an operator's")


def host_of(address: str) -> str:
    """Return the host of HOST:PORT; of an IPv6 address its /64."""
    host = address.rpartition(":")[0]
    if not host.startswith("["):
        return host
    try:
        ip = ip_address(host[1:-1])
    except ValueError:
        return host
    return host if ip.is_loopback else str(IPv6Network((int(ip), 64), strict=False))
