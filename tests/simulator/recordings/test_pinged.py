"""A log of ping is of one host, in whatever form its lines name it."""

from pathlib import Path

import pytest
from tests.simulator.recordings.pings import HEAD, Read, answer

from heartbench.simulator.errors import SimulatorError

OTHER = answer(3).replace("192.0.2.1", "192.0.2.10")
V6 = "PING host(name (2001:db8::1)) 56 data bytes\n" + "64 bytes from name (2001:db8::1): icmp_seq=1 ttl=57 time=2 ms\n"


@pytest.mark.parametrize(
    ("text", "line", "hosts"),
    [
        (HEAD + answer(1) + answer(2) + OTHER, 4, "192.0.2.10 beside 192.0.2.1"),
        (HEAD + answer(1) + answer(2, extra=" (DUP!)") + OTHER, 4, "192.0.2.10 beside 192.0.2.1"),
        (answer(1).replace("host (192.0.2.1)", "192.0.2.1") + OTHER, 2, "192.0.2.10 beside 192.0.2.1"),
        (HEAD + answer(1) + HEAD.replace("2.1", "2.9") + answer(1), 3, "192.0.2.9 beside 192.0.2.1"),
        (HEAD + answer(1) + HEAD.replace("(192.0.2.1)", "(192.0.2.9):"), 3, "192.0.2.9 beside 192.0.2.1"),
        (V6 + V6.splitlines(True)[1].replace("::1", "::2").replace("=1", "=2"), 3, "2001:db8::2 beside 2001:db8::1"),
        (V6 + V6.replace("::1", "::2"), 3, "2001:db8::2 beside 2001:db8::1"),
    ],
)
def test_a_second_host_is_rejected_in_its_line(read: Read, text: str, line: int, hosts: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError) as error:
        read(text)
    assert str(error.value).startswith(f"{tmp_path / 'ping.log'}:{line}: a second host, {hosts}; ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + answer(1) + answer(2).replace("host (192.0.2.1)", "192.0.2.1") + answer(3),
        HEAD + answer(1) + answer(1, extra=" (DUP!)") + "From gate (192.0.2.254): icmp_seq=2 Time to live exceeded\n",
        HEAD.replace("2.1", "2.9") + answer(1) + HEAD.replace("2.1", "2.9") + answer(1),
        V6 + "From fe80::1%eth0 icmp_seq=2 Destination unreachable: No route\n" + V6,
        V6 + "64 bytes from 2001:db8::1: icmp_seq=2 ttl=57 time=2 ms\n",
        "16 bytes from 2001:db8::1, icmp_seq=0 hlim=57 time=12.0 ms\n",
    ],
)
def test_one_host_in_several_forms_and_errors_of_others_are_read(read: Read, text: str) -> None:
    assert read(text).rtt_s[0] > 0
