"""The other end of a call, as the services see it; they do not see gRPC."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """Who calls: the address (HOST:PORT), and the verified identity, which is empty without TLS."""

    address: str
    identity: str = ""

    def __str__(self) -> str:
        return f"{self.identity} at {self.address}" if self.identity else self.address
