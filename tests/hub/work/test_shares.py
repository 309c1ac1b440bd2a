"""One peer leaves room for the others."""

import pytest

from heartbench.hub.errors import NoRoomError
from heartbench.hub.work.shares import Shares


def test_a_peer_has_its_share_and_others_have_theirs() -> None:
    shares = Shares(10, 0.3)
    for _ in range(3):
        shares.check("a", "things")
        shares.add("a")
    with pytest.raises(NoRoomError, match="a has 3 of at most 10 things; HUB_PEER_SHARE"):
        shares.check("a", "things")
    shares.check("b", "things")
    shares.remove("a")
    shares.check("a", "things")


def test_one_place_is_never_refused_to_the_only_one() -> None:
    Shares(1, 0.01).check("a", "things")
