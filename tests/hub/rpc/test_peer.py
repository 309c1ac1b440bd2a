"""The other end of a call."""

from types import SimpleNamespace
from typing import Any

import pytest

from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.servicers import peer_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:10.0.0.1:40000", "10.0.0.1:40000"), ("ipv6:%5B::1%5D:40000", "[::1]:40000"), ("unix:", "")],
)
def test_a_peer_has_the_address_that_grpc_knows(peer: str, address: str) -> None:
    context: Any = SimpleNamespace(peer=lambda: peer)
    assert peer_of(context) == Peer(address)


def test_a_peer_is_shown_by_identity_and_address() -> None:
    assert str(Peer("10.0.0.1:40000")) == "10.0.0.1:40000"
    assert str(Peer("10.0.0.1:40000", "edge-7")) == "edge-7 at 10.0.0.1:40000"


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        (Peer("10.0.0.1:40000"), "10.0.0.1"),
        (Peer("[::1]:40000"), "[::1]"),
        (Peer("[2001:db8:1:2:a::1]:40000"), "2001:db8:1:2::/64"),
        (Peer("[fe80::1%eth0]:40000"), "fe80::/64"),
        (Peer("10.0.0.1:40000", "edge-7"), "edge-7"),
        (Peer(""), ""),
    ],
)
def test_limits_per_peer_count_by_identity_else_by_host(peer: Peer, key: str) -> None:
    assert peer.key == key
