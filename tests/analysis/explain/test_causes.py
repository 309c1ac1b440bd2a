"""Each cause on a run of one node on a quiet network, so that what happens can be computed by hand.

The node starts at 0 s and sends a heartbeat every 10 s, which arrives within a millisecond: at 100 s, and not at 110 s.
"""

from pathlib import Path

import pytest

from heartbench.analysis.evidence import evidence_of
from heartbench.analysis.explain.flashes import Flashes, explain
from heartbench.cli.app import invoke

QUIET = """
duration = "{duration}"
[hub]
stale_after_s = {stale_after_s}
{hub}
[[group]]
name = "edge"
nodes = 1
profile = "lan"
heartbeat_interval = "10s"
heartbeat_jitter = 0
start_spread = "0s"
{group}
{rest}
"""


def fault(kind: str, at: str, rest: str = "") -> str:
    return f'[[fault]]\ngroup = "edge"\nnodes = 1\nkind = "{kind}"\nat = "{at}"\n{rest}'


def explained(folder: Path, **parts: str) -> Flashes:
    usual = {"duration": "200s", "stale_after_s": "30", "hub": "", "group": "", "rest": ""}
    (folder / "quiet.toml").write_text(QUIET.format(**{**usual, **parts}), encoding="utf-8")
    assert invoke(["run", str(folder / "quiet.toml"), "--out", str(folder / "run"), "--workers", "1"]) == 0
    return explain(evidence_of(folder / "run"))


LONG_CUT = fault("partition", "101s", 'for = "26.5s"')
CASES = {
    # Cut from 103 to 163 s: at the deadline, 130 s, nothing passes.
    "cut at the deadline": ({"rest": fault("partition", "103s", 'for = "60s"')}, "unreachable", "partition", 163.0),
    "hold at the deadline": ({"rest": fault("hold", "103s", 'for = "60s"')}, "unreachable", "partition", 163.0),
    # Cut from 101 to 126 s: at 130 s the link is fine. The heartbeat of 110 s is sent again 0.2, 0.4, then 0.85, 1.7,
    # 3.3, 6.7, 13.5 and 26.8 s after it: lost at 123.5 s, through at 136.8 s.
    "backoff after a cut": ({"rest": fault("partition", "101s", 'for = "25s"')}, "hidden", "rto backoff", 126.0),
    # Given up after 5 s; SYNs 1 s apart five times, then 2, 4, 8 s: lost at 126.8 s, through at 135 s.
    "reconnect": (
        {"rest": LONG_CUT, "group": 'user_timeout = "5s"\nreconnect = { initial = "60s" }'},
        "hidden",
        "reconnect",
        127.5,
    ),
    # Cut for 200 s: the key is 180 s old by then, and a handshake is tried every 5 s; 304 s is between two attempts.
    "handshake": (
        {
            "duration": "400s",
            "stale_after_s": "204",
            "group": 'tunnel = "wireguard"',
            "rest": fault("partition", "103s", 'for = "200s"'),
        },
        "hidden",
        "tunnel",
        303.0,
    ),
    "path that forgot the connection": ({"rest": fault("half_open", "103s")}, "hidden", "dead connection", None),
    # Back at 123 s, and every node has 5 s of grace; the node tries again after a minute.
    "hub that was down": (
        {
            "hub": "restart_grace_s = 5",
            "group": 'reconnect = { initial = "60s" }',
            "rest": '[[hub_fault]]\nkind = "kill"\nat = "103s"\nfor = "20s"',
        },
        "hidden",
        "hub away",
        None,
    ),
    "threshold under the interval": ({"duration": "15s", "stale_after_s": "8"}, "hidden", "no heartbeat due", None),
    # Six of ten packets up are lost. No cut, and one heartbeat is lost until TCP has waited for more than 30 s.
    "single losses": (
        {
            "duration": "400s",
            "group": 'link = { up = { loss = { good = 0.6, bad = 0.6, good_mean = "1s", bad_mean = "1s" } } }',
        },
        "hidden",
        "losses",
        None,
    ),
    # A file of 100 kB takes 50 s at 16 kbit/s, and heartbeats come behind it.
    "file before heartbeats": (
        {
            "duration": "100s",
            "stale_after_s": "20",
            "group": 'file_bytes = 100_000\nfile_every = "200s"\nfile_spread = "0s"\n'
            "link = { uplink = { bit_rate = 16_000, buffer_bytes = 200_000 } }",
        },
        "hidden",
        "queue",
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_cause_that_was_made_is_found(case: str, tmp_path: Path) -> None:
    parts, kind, cause, link_back_s = CASES[case]
    found = explained(tmp_path, **parts)
    first = found.each[0]
    assert (first.kind, first.cause, first.inferred) == (kind, cause, False)
    assert first.link_back_s == link_back_s
    assert (len(found.each), found.others, found.not_repeated) == (1, (), ())


def test_a_node_without_power_is_not_a_false_stale(tmp_path: Path) -> None:
    found = explained(tmp_path, rest=fault("crash", "103s", 'for = "60s"'))
    assert found.each == ()
    (down,) = found.others
    assert (down.stale, down.false, down.shown) == (True, False, 2)
    assert down.at_s == pytest.approx(130.0, abs=0.01)
