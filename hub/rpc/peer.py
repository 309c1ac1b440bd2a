"""The other end of a call, as the services see it; they do not see gRPC."""

from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address


@dataclass(frozen=True, slots=True)
class Peer:
    """Who calls: the address (HOST:PORT), and the verified identity, which is empty without TLS."""

    address: str
    identity: str = ""

    def __str__(self) -> str:
        return f"{self.identity} at {self.address}" if self.identity else self.address

    @property
    def key(self) -> str:
        """What limits per peer count by: the identity, else the host; of IPv6 the /64, which one host may use whole."""
        return self.identity or host_of(self.address)


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
