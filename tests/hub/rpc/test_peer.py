"""The other end of a call."""

from types import SimpleNamespace
from typing import Any

import pytest

from heartbench.hub.errors import NotAllowedError
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.servicers import address_of
from heartbench.hub.security.identity import Grant, Identity, Role


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:10.0.0.1:40000", "10.0.0.1:40000"), ("ipv6:%5B::1%5D:40000", "[::1]:40000"), ("unix:", "")],
)
def test_a_peer_has_the_address_that_grpc_knows(peer: str, address: str) -> None:
    context: Any = SimpleNamespace(peer=lambda: peer)
    assert address_of(context) == address


def test_a_peer_is_shown_by_its_identities_and_its_address() -> None:
    assert str(Peer("10.0.0.1:40000")) == "10.0.0.1:40000"
    identities = tuple(Identity((Grant(Role.NODE, name),)) for name in ("edge-7", "edge-*"))
    assert str(Peer("10.0.0.1:40000", identities)) == "node edge-7 and node edge-* at 10.0.0.1:40000"


def test_each_identity_must_allow_what_a_peer_does() -> None:
    node, operator = (Identity((Grant(role, "a"),)) for role in (Role.NODE, Role.OPERATOR))
    Peer("x", (node, operator)).require_node("a")
    Peer("x", (operator,)).require_operator()
    Peer("x", (operator,)).require_node("b")
    Peer("x").require_operator()
    with pytest.raises(NotAllowedError, match="the credential of node a does not allow node_id 'b'"):
        Peer("x", (operator, node)).require_node("b")
    with pytest.raises(NotAllowedError, match="the credential of node a is not an operator's"):
        Peer("x", (operator, node)).require_operator()


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        (Peer("10.0.0.1:40000"), "10.0.0.1"),
        (Peer("[::1]:40000"), "[::1]"),
        (Peer("[2001:db8:1:2:a::1]:40000"), "2001:db8:1:2::/64"),
        (Peer("[fe80::1%eth0]:40000"), "fe80::/64"),
        (Peer("10.0.0.1:40000", (Identity((Grant(Role.NODE, "edge-7"),)),)), "node edge-7"),
        (Peer(""), ""),
    ],
)
def test_limits_per_peer_count_by_identity_else_by_host(peer: Peer, key: str) -> None:
    assert peer.key == key
