import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.config import HubSettings
from heartbench.simulator.connection import CONNECT_TIMEOUT_S
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fault import FaultKind, HubFaultKind
from heartbench.simulator.group import Backoff
from heartbench.simulator.outages import Lengths
from heartbench.simulator.profile import load_profile
from heartbench.simulator.scenario import SCENARIOS, Scenario, load_scenario, scenario_of

GROUPS = """
duration = "1m"
[[group]]
name = "edge"
nodes = 30
profile = "lan"
[[group]]
name = "core"
nodes = 10
profile = "wireguard-5g"
heartbeat_interval = "2s"
"""


def write(folder: Path, text: str, name: str = "mine.toml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def load(folder: Path, text: str, *overrides: str) -> Scenario:
    return load_scenario(write(folder, text), overrides)


def test_the_shipped_scenarios_are_what_their_names_say() -> None:
    names = ["hub-cut", "hub-faults", "kubernetes", "lan", "mixed-fleet", "wireguard-5g", "wireguard-5g-fast"]
    assert SCENARIOS.names() == names
    hub_cut, hub_faults, kubernetes, lan, fleet, day, fast = (load_scenario(name) for name in SCENARIOS.names())
    assert [group.nodes for group in fleet.group] == [100, 60, 20]
    assert kubernetes.hub_settings().stale_after_s == 40
    lease = {(group.heartbeat_interval_s, group.user_timeout_s, group.heartbeat_ack) for group in kubernetes.group}
    assert lease == {(10.2, 20.0, True)}
    assert [(fault.kind, fault.count(100)) for fault in hub_cut.fault] == [(FaultKind.PARTITION, 100)]
    assert [fault.kind for fault in hub_faults.hub_fault] == list(HubFaultKind)
    assert [s.group[0].heartbeat_interval_s for s in (lan, day, fast)] == [1, 10, 1]
    assert [s.hub_settings().stale_after_s for s in (lan, day, fast)] == [30, 30, 3]
    assert (day.nodes, day.duration_s, day.group[0].heartbeat_jitter) == (300, 86400, 0.1)
    assert day.group[0].link == load_profile("wireguard-5g")
    assert fast.group[0].link.outage.per_hour == pytest.approx(20 * day.group[0].link.outage.per_hour)
    assert fast.group[0].link.outage.lengths_s().tolist() == day.group[0].link.outage.lengths_s().tolist()


@pytest.mark.parametrize("name", SCENARIOS.names())
def test_a_printed_scenario_loads_to_an_equal_one(name: str, tmp_path: Path) -> None:
    drawn = [group.name for group in load_scenario(name).group if group.link.outage.lengths is not Lengths.FIXED]
    changes = [
        "seed=7",
        *(f"group.{group}.link.outage.shape=0.1" for group in drawn),
        *(f"group.{group}.link.outage.scale=2s" for group in drawn),
        "group.*.link.up.base_delay=1ms",
        "hub.flap_exit=2",
    ]
    for scenario in (load_scenario(name), load_scenario(name, changes)):
        assert load(tmp_path, scenario.to_toml()) == scenario


def test_a_recorded_scenario_is_read_without_its_profile(tmp_path: Path) -> None:
    write(tmp_path, "[up]\nbase_delay = 1\n[down]\nbase_delay = 1", "radio.toml")
    scenario = load(tmp_path, GROUPS.replace('"lan"', '"radio.toml"'))
    (tmp_path / "radio.toml").unlink()

    assert scenario_of(json.loads(json.dumps(scenario.to_data()))) == scenario


def test_a_profile_by_its_path_is_looked_for_beside_the_scenario(tmp_path: Path) -> None:
    write(tmp_path, "[up]\nbase_delay = 1\n[down]\nbase_delay = 1", "radio.toml")
    (tmp_path / "other").mkdir()

    scenario = load(tmp_path, GROUPS.replace('"lan"', '"radio.toml"'))

    assert scenario.group[0].profile == str(tmp_path / "radio.toml")
    assert load(tmp_path / "other", scenario.to_toml()) == scenario


def test_overrides_reach_every_key(tmp_path: Path) -> None:
    fault = '[[fault]]\nkind = "crash"\ngroup = "edge"\nat = "10s"\n'
    changed = load(
        tmp_path,
        GROUPS + fault,
        "seed=3",
        "duration=2h",
        "group.edge.heartbeat_interval=5s",
        "group.*.nodes=7",
        "group.core.link.outage.shape=0.1",
        "group.core.link.outage.rates=[['1s', 30], ['2s', 12]]",
        "group.1.reconnect.max=10s",
        "hub.stale_after_s=12.5",
        "fault.0.nodes=2",
        "fault.0.for=1m",
    )

    edge, core = changed.group
    assert (changed.seed, changed.duration_s, changed.hub_settings().stale_after_s) == (3, 7200, 12.5)
    assert (edge.heartbeat_interval_s, edge.start_spread_s, edge.nodes, core.nodes) == (5, 5, 7, 7)
    assert (core.link.outage.shape, core.link.outage.rates) == (0.1, ((1, 30), (2, 12)))
    assert (edge.reconnect.max_s, core.reconnect.max_s) == (120, 10)
    assert (changed.fault[0].nodes, changed.fault[0].duration_s) == (2, 60)


def test_defaults_follow_what_they_depend_on(tmp_path: Path) -> None:
    plain = load(tmp_path, GROUPS).group
    pinging = load(tmp_path, GROUPS, "group.edge.keepalive_time=30s", "hub.keepalive_timeout_s=60").group

    assert [group.start_spread_s for group in plain] == [10, 2]
    assert (plain[0].user_timeout_s, plain[0].hub_user_timeout_s) == (0, 20)
    assert (pinging[0].user_timeout_s, pinging[0].hub_user_timeout_s) == (20, 60)
    assert pinging[1].user_timeout_s == 0
    unpinged = load(tmp_path, GROUPS, "hub.keepalive_s=0", "hub.keepalive_timeout_s=60").group
    assert unpinged[0].hub_user_timeout_s == 0
    off = load(tmp_path, GROUPS, "group.edge.keepalive_time=0ms").group
    assert off[0].user_timeout_s == 0


def test_nodes_are_scaled_in_proportion(tmp_path: Path) -> None:
    scenario = load(tmp_path, GROUPS)

    assert [group.nodes for group in scenario.with_nodes(400).group] == [300, 100]
    assert [group.nodes for group in scenario.with_nodes(2).group] == [1, 1]
    with pytest.raises(SimulatorError, match=r"--nodes: 1: must be at least 1 for each of the 2 groups"):
        scenario.with_nodes(1)
    with pytest.raises(SimulatorError, match=r"--nodes: 0"):
        load_scenario("lan").with_nodes(0)


@given(st.integers(3, 10**7), st.lists(st.integers(1, 1000), min_size=3, max_size=3))
def test_no_node_is_lost_in_scaling(total: int, sizes: list[int]) -> None:
    lan = load_scenario("lan")
    groups = tuple(lan.group[0].model_copy(update={"nodes": size}) for size in sizes)
    scaled = lan.model_copy(update={"group": groups}).with_nodes(total)

    assert scaled.nodes == total
    for group, size in zip(scaled.group, sizes, strict=True):
        assert abs(group.nodes - total * size / sum(sizes)) <= 3


def test_a_fault_hits_a_share_a_number_or_all(tmp_path: Path) -> None:
    fault = '[[fault]]\nkind = "crash"\ngroup = "edge"\nat = "10s"\n'
    scenario = load(tmp_path, GROUPS + fault + fault + "fraction = 0.1\n" + fault + "nodes = 40\n")

    assert [fault.count(30) for fault in scenario.fault] == [30, 3, 30]
    assert [fault.count(3) for fault in scenario.fault] == [3, 1, 3]  # a share hits somebody


@pytest.mark.parametrize(
    ("override", "refusal"),
    [
        ("sede=1", "unknown key sede, did you mean seed?; allowed: name, summary, seed, duration, hub, group, fault"),
        ("seed=-1", "seed: -1: must be greater than or equal to 0"),
        ("seed=many", "seed: 'many': must be a valid integer"),
        ("duration=10 parsecs", 'duration: "10 parsecs" is not a duration; expected a number with ms, s, m, h, d or w'),
        ("duration=0s", "duration: must be longer than 0"),
        ("duration=-5s", 'duration: "-5s" is not a duration'),
        ("group.edge.nodes=0", "group.edge.nodes: 0: must be greater than or equal to 1"),
        ("group.edge.nodes=1.5", "group.edge.nodes: 1.5: must be a valid integer"),
        ("group.edge.heartbeat=1s", "group.edge: unknown key heartbeat, did you mean heartbeat_"),
        ("group.edge.heartbeat_interval=0", "group.edge.heartbeat_interval: must be longer than 0"),
        ("group.edge.heartbeat_interval=1e-9s", "group.edge.heartbeat_interval: 1e-09s: must be at least 1ms"),
        ("group.edge.heartbeat_interval=0.9ms", "group.edge.heartbeat_interval: 0.9ms: must be at least 1ms"),
        ("group.edge.keepalive_time=1e-9s", "group.edge.keepalive_time: 1e-09s: must be at least 1ms"),
        ("group.edge.reconnect.initial=1e-9s", "group.edge.reconnect.initial: 1e-09s: must be at least 1ms"),
        ("duration=1e15s", "duration: 1e15s: must be at most 1000000000s"),
        ("group.edge.heartbeat_jitter=1", "group.edge.heartbeat_jitter: 1: must be less than 1"),
        ("group.edge.output_rate=5", "group.edge: output_rate needs chunk_bytes"),
        (
            "group=[{name='edge', nodes=1, profile='lan', output_rate=2001, chunk_bytes=2}]",
            "group.edge: output_rate: 2001: must be at most 2000, one chunk per millisecond, with chunk_bytes of 2",
        ),
        ("group.edge.file_bytes=5", "group.edge: file_bytes and file_every need each other"),
        ("group.edge.file_every=5s", "group.edge: file_bytes and file_every need each other"),
        ("group.edge.reconnect.max=0.5s", "group.edge.reconnect: max must be at least as long as initial"),
        ("group.edge.link.up.loss.good=-0.1", "group.edge.link.up.loss.good: -0.1: must be greater than or equal to 0"),
        ("group.edge.link.up.los=1", "group.edge.link.up: unknown key los, did you mean loss?"),
        ("group.edge.link=5", "group.edge.link: 5: must be a table"),
        ("group=[]", "group: is missing; expected at least one [[group]]"),
        ("group=5", "group: 5: must be a list"),
        ("hub.stale_after=3", "hub: unknown key stale_after, did you mean stale_after_s"),
        ("hub.stale_after_s=-3", "hub.stale_after_s=-3: must be greater than"),
        ("hub.stale_after_s=nan", "hub.stale_after_s=nan: must be a finite number"),
        ("hub.stale_after_s=[1]", "hub.stale_after_s: [1]: must be a number, a string, true or false"),
        ("hub.flap_threshold=1000", "hub.flap_threshold=1000 cannot be reached"),
        (
            "hub.forget_after=1",
            "hub.forget_after=1 forgets nodes that are not yet stale; use 0, or more than hub.s",
        ),
        ("fault=[{kind = 'melt', group = 'edge', at = 1}]", "fault.0.kind: 'melt': must be 'crash', 'exit'"),
        (
            "fault=[{kind = 'exit', group = 'egde', at = 1}]",
            "fault.0.group: 'egde' is not a group; allowed: edge",
        ),
        ("fault=[{kind = 'exit', group = 'edge'}]", "fault.0.at: is missing"),
        (
            "fault=[{kind='exit', group='edge', at=1, nodes=1, fraction=0.5}]",
            "fault.0: fraction and nodes exclude each other",
        ),
        ("group.core.name=edge", "two groups have the same name"),
    ],
)
def test_what_cannot_be_is_refused_with_file_key_and_value(override: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError) as refused:
        load(tmp_path, GROUPS, override)
    assert str(refused.value).startswith(f"{tmp_path / 'mine.toml'}: {refusal}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("override", "refusal"),
    [
        ("seed", "--set: 'seed': must be KEY=VALUE"),
        ("=3", "--set: '=3': must be KEY=VALUE"),
        ("group..nodes=3", "--set: 'group..nodes=3': must be KEY=VALUE"),
        ("group.edeg.nodes=3", "--set group.edeg.nodes=3: there is no group 'edeg', did you mean edge?; allowed: edge"),
        (
            "group.nodes=3",
            "--set group.nodes=3: group is a list; expected group.NAME.nodes with",
        ),
        ("duration.x=3", "--set duration.x=3: duration is not a table"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(override: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError) as refused:
        load(tmp_path, GROUPS, override)
    assert str(refused.value).startswith(refusal)


def test_names_that_are_not_known_are_refused_with_the_near_ones(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=r"scenario: 'wiregaurd-5g' is not known, did you mean wireguard-5g or"):
        load_scenario("wiregaurd-5g")
    near = r"group\.edge\.profile: 'lann' is not known, did you mean lan or wan\?; allowed: 5g-"
    with pytest.raises(SimulatorError, match=near):
        load(tmp_path, GROUPS, "group.edge.profile=lann")


def test_a_mistake_in_the_profile_of_a_group_names_scenario_group_and_profile(tmp_path: Path) -> None:
    (tmp_path / "noise.toml").write_bytes(b"\xff")
    path = write(tmp_path, GROUPS.replace('"lan"', '"noise.toml"'), "fleet.toml")
    with pytest.raises(SimulatorError) as refused:
        load_scenario(path)
    assert str(refused.value).startswith(f"{path}: group.edge.profile: {tmp_path / 'noise.toml'}: is not a text file")


def test_what_is_no_scenario_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.toml").write_bytes(b"\x7fELF\xff\x00")
    refusals = {
        str(tmp_path): "is a directory; expected a TOML file",
        str(tmp_path / "noise.toml"): "is not a text file",
        str(tmp_path / "gone.toml"): "cannot be read: No such file or directory",
        write(tmp_path, "seed = ", "half.toml"): "is not TOML: ",
        write(tmp_path, "", "empty.toml"): "duration: is missing",
        write(tmp_path, "x = " + "[" * 3000, "deep.toml"): "is not TOML: nested too deeply",
    }
    for path, refusal in refusals.items():
        with pytest.raises(SimulatorError) as refused:
            load_scenario(path)
        assert str(refused.value).startswith(f"{path}: {refusal}")


def test_a_file_that_an_editor_marked_as_utf_8_is_read(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + GROUPS) == load(tmp_path, GROUPS)


def test_the_comments_of_shipped_scenarios_name_keys_that_exist(tmp_path: Path) -> None:
    text = SCENARIOS.text("wireguard-5g").replace("# keepalive_t", "keepalive_t")
    assert "keepalive_time" in tomllib.loads(text)["group"][0]
    assert load(tmp_path, text).group[0].user_timeout_s == 10


def test_the_hub_waits_after_a_restart_for_the_longest_backoff_of_a_node_and_an_attempt() -> None:
    backoff = Backoff()
    assert HubSettings.of().restart_grace_s >= backoff.max_s * (1 + backoff.jitter) + CONNECT_TIMEOUT_S


SITED = GROUPS + "[group.site]\nnodes = 20\nshare = 0.3\n"


def test_a_group_has_sites_if_it_says_so(tmp_path: Path) -> None:
    edge, core = load(tmp_path, SITED).group
    assert edge.site is None
    assert core.site is not None
    assert (core.site.nodes, core.site.share) == (20, 0.3)


def test_sites_are_set_scaled_and_printed_as_all_else(tmp_path: Path) -> None:
    changed = load(tmp_path, SITED, "group.edge.site.nodes=5", "group.edge.site.share=1", "group.core.site.nodes=4")
    assert [group.site and (group.site.nodes, group.site.share) for group in changed.group] == [(5, 1), (4, 0.3)]
    assert [group.site for group in changed.with_nodes(4).group] == [group.site for group in changed.group]
    assert load(tmp_path, changed.to_toml()) == changed
    assert scenario_of(json.loads(json.dumps(changed.to_data()))) == changed


@pytest.mark.parametrize(
    ("override", "refusal"),
    [
        ("group.core.site.nodes=1", "group.core.site.nodes: 1: must be greater than or equal to 2"),
        ("group.core.site.share=0", "group.core.site.share: 0: must be greater than 0"),
        ("group.core.site.share=1.5", "group.core.site.share: 1.5: must be less than or equal to 1"),
        ("group.core.site.size=3", "group.core.site: unknown key size"),
        ("group.edge.site.nodes=5", "group.edge.site: share and uplink are missing"),
        ("group.edge.site=5", "group.edge.site: 5: must be a table"),
    ],
)
def test_a_site_that_cannot_be_is_refused(override: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError) as refused:
        load(tmp_path, SITED, override)
    assert str(refused.value).startswith(f"{tmp_path / 'mine.toml'}: {refusal}")
    assert "\n" not in str(refused.value)
