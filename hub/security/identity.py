"""Who a caller is, as one of its credentials proves: what it may call, and under which names.

    node      may connect and upload as a node whose name the grant covers
    operator  may call HubAdmin, and connect as any node: it can send a command to any of them, or remove it, anyway

Of a node, a name in which `*` stands for any characters covers many. A role and a name are written as a URI in a
certificate's subjectAltName, `heartbench://node/edge-7`, with the name percent-encoded. A certificate without such a
URI is one of another PKI: it is a node's, whose name is one of its DNS names, or its common name if it has none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote, urlsplit

SCHEME = "heartbench"
URI, DNS, COMMON_NAME = "peer_uri", "peer_dns", "x509_common_name"
"""Properties of a connection whose client has a certificate, as gRPC names them."""

AuthContext = Mapping[str, Iterable[bytes]]


class Role(StrEnum):
    """What a credential is for."""

    NODE = "node"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Grant:
    """One role under one name; a node's may be a pattern."""

    role: Role
    name: str

    def __str__(self) -> str:
        return f"{self.role} {self.name}"

    @property
    def uri(self) -> str:
        """The grant as it stands in a certificate."""
        return f"{SCHEME}://{self.role}/{quote(self.name, safe='*')}"

    def covers(self, node_id: str) -> bool:
        """Return whether its holder may be this node."""
        return self.role is Role.OPERATOR or matches(self.name, node_id)


@dataclass(frozen=True, slots=True)
class Identity:
    """The grants of one credential."""

    grants: tuple[Grant, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.grants))

    def may_be(self, node_id: str) -> bool:
        """Return whether the caller may connect and upload as this node."""
        return any(grant.covers(node_id) for grant in self.grants)

    @property
    def is_operator(self) -> bool:
        """Whether the caller may call HubAdmin."""
        return any(grant.role is Role.OPERATOR for grant in self.grants)


def matches(pattern: str, name: str) -> bool:
    """Return whether a name fits a pattern, in which `*` stands for any characters.

    Takes the first place where each part fits, and so never goes back: a regular expression with several `*` would take
    the hub minutes for a name that was made for it.
    """
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == name
    last = middle.pop()
    start, end = len(first), len(name) - len(last)
    if start > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in middle:
        found = name.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def certified(connection: AuthContext) -> Identity | None:
    """Return the identity in the client's certificate, which TLS has verified; None without a name in it."""
    uris = [grant for text in texts(connection, URI) if (grant := grant_of(text))]
    names = texts(connection, DNS) or texts(connection, COMMON_NAME)
    # Exact names: another PKI's wildcard stands for hosts, not for nodes.
    grants = uris or [Grant(Role.NODE, name) for name in names if name and "*" not in name]
    return Identity(tuple(grants)) if grants else None


def grant_of(uri: str) -> Grant | None:
    """Return the grant that a URI states; None if it is not one of ours."""
    try:
        parts = urlsplit(uri)
        role, name = Role(parts.netloc), unquote(parts.path.removeprefix("/"), errors="strict")
    except ValueError:
        return None
    return Grant(role, name) if parts.scheme == SCHEME and name else None


def texts(connection: AuthContext, name: str) -> list[str]:
    """Return the values of a property of a connection."""
    return [value.decode("utf-8", "replace") for value in connection.get(name, ())]
