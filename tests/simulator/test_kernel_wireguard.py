"""The model of WireGuard does what wireguard-go does."""

import pytest
from tests.simulator.kernel_wireguard import (
    INITIATION,
    KEEPALIVE,
    PACKET_BYTES,
    RESPONSE,
    SHORT,
    Sent,
    ask_model,
    ask_wireguard_go,
    runs,
    why_not,
)

from heartbench.simulator.link import UP
from heartbench.simulator.tunnel.handshake import HEADERS_BYTES, REKEY_JITTER_S, REKEY_TIMEOUT_S
from heartbench.simulator.tunnel.wireguard import KEEPALIVE_S, datagram_bytes

LATE_S = 0.5  # by which a busy machine may be late

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sent() -> list[Sent]:
    if reason := why_not():
        pytest.skip(reason)
    return ask_wireguard_go(SHORT)


def test_both_send_the_same_messages_at_the_same_times(sent: list[Sent]) -> None:
    real, model = runs(sent), runs(ask_model(SHORT))
    assert [each[:3] for each in real] == [each[:3] for each in model]
    assert [each[3] for each in real] == pytest.approx([each[3] for each in model], abs=2 * REKEY_JITTER_S + LATE_S)


def test_retries_and_keepalives_come_when_the_rules_say(sent: list[Sent]) -> None:
    first, second, third, _ = [each.at_s for each in sent if each.kind == INITIATION]
    for wait_s in (second - first, third - second):
        assert REKEY_TIMEOUT_S - 0.01 < wait_s < REKEY_TIMEOUT_S + REKEY_JITTER_S + LATE_S
    (answered_s,) = (each.at_s for each in sent if each.kind == RESPONSE)
    (kept_s,) = (each.at_s for each in sent if each.kind == KEEPALIVE)
    assert kept_s - answered_s == pytest.approx(KEEPALIVE_S, abs=LATE_S)


def test_messages_are_as_long_as_stated(sent: list[Sent]) -> None:
    sizes = {(each.kind, each.size) for each in sent}
    data = datagram_bytes(PACKET_BYTES) - HEADERS_BYTES
    assert sizes == {("initiation", 148), ("response", 92), ("keepalive", 32), ("data", data)}
    assert sum(each.size == data and each.who == UP for each in sent) == 128 + 1
