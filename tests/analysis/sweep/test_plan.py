import pytest

from heartbench.analysis import AnalysisError
from heartbench.analysis.sweep import parse_vary, plan_sweep
from heartbench.simulator.errors import SimulatorError

TINY = ["duration=10m", "group.*.nodes=3"]


def test_the_last_key_varies_fastest_and_then_the_seed() -> None:
    varied = [parse_vary("group.edge.heartbeat_interval=5s,10s"), parse_vary("hub.stale_after_s=20,30")]
    sweep = plan_sweep("wireguard-5g", varied, (1, 2), TINY)
    assert [sweep.labels(cell)[0][-3:] + sweep.labels(cell)[2] for cell in sweep.cells[::2]] == [
        "=5sseed=1",
        "=5sseed=1",
        "10sseed=1",
        "10sseed=1",
    ]
    assert [cell.number for cell in sweep.cells] == list(range(8))
    last = sweep.cells[-1].scenario
    assert (last.seed, last.group[0].heartbeat_interval_s, last.hub_settings().stale_after_s) == (2, 10.0, 30.0)


def test_without_seeds_a_sweep_has_that_of_the_scenario() -> None:
    (cell,) = plan_sweep("wireguard-5g", [], overrides=[*TINY, "seed=5"]).cells
    assert cell.scenario.seed == 5


def test_a_digest_names_all_that_decides_the_digits() -> None:
    def digest(override: str = "seed=1", made_by: str = "here", thresholds: tuple[float, ...] = ()) -> str:
        (cell,) = plan_sweep("wireguard-5g", [], (), [*TINY, override], thresholds).cells
        return cell.digest(made_by)

    others = [digest("seed=2"), digest("hub.stale_after_s=20"), digest(made_by="there"), digest(thresholds=(20.0,))]
    assert digest() == digest()
    assert len({digest(), *others}) == 5


@pytest.mark.parametrize(
    ("varied", "overrides", "thresholds", "line"),
    [
        (["hub.stale_after=3,4"], [], (), "scenario wireguard-5g: hub: unknown key stale_after, did you mean"),
        (["group.egde.nodes=3,4"], [], (), "--vary group.egde.nodes=3: there is no group 'egde', did you mean edge?"),
        (["group.edge.nodes=3,x"], [], (), "scenario wireguard-5g: group.edge.nodes: 'x': must be a valid integer"),
        (["group.edge.nodes=3,4"], ["group.edge.nodes=5"], (), "--vary group.edge.nodes: is in --set too"),
        (["seed.x=3,4"], [], (), "--vary seed.x=3: seed is not a table"),
        (["hub.stale_after_s=20,20.0"], [], (), "--vary hub.stale_after_s: 20 and 20.0 make the same scenario"),
        (["hub.stale_after_s=20,31"], [], (), "wireguard-5g: 600 s are too short to evaluate a threshold of 31 s"),
        ([], [], (31.0,), "wireguard-5g: 600 s are too short to evaluate a threshold of 31 s"),
        ([], [], (0.01,), "--stale-after: 0.01 s: expected 0.1 s to 86400 s"),
        (
            ["hub.stale_after_s=1..30:400", "group.edge.heartbeat_interval=1..30:400"],
            [],
            (),
            "--vary: more than 100,000",
        ),
        (
            ["group.edge.heartbeat_interval=10s,1ms"],
            ["duration=1000000s"],
            (),
            "group edge: about 1,073,684,511 messages a node",
        ),
    ],
)
def test_what_cannot_be_run_is_an_error_of_one_line_before_anything_runs(
    varied: list[str], overrides: list[str], thresholds: tuple[float, ...], line: str
) -> None:
    with pytest.raises((AnalysisError, SimulatorError)) as error:
        plan_sweep("wireguard-5g", [parse_vary(text) for text in varied], (), [*TINY[:1], *overrides], thresholds)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
