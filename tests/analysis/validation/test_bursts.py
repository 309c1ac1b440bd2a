"""The networks with bursts are what their names say, and their figures of losses and outages are judged."""

from heartbench.analysis.validation.bursts import WORLDS, World, recovered


def test_each_network_has_its_own_name_and_loses_in_bursts() -> None:
    assert len({world.name for world in WORLDS}) == len(WORLDS)
    for world in WORLDS:
        network = world.profile()
        assert (network.up.loss.bad, network.down.loss.bad_mean_s) == (world.bad, world.bad_mean_s)
        assert bool(network.outage.knots) == world.has_outages


def test_losses_and_outages_of_a_recording_are_judged() -> None:
    rows = list(recovered(World(1, 20, 1, 0.3), seeds=1))
    assert {"loss.bad", "loss.bad_mean", "outage.scale"} <= {row["figure"] for row in rows}
    assert not [row["figure"] for row in rows if row["wrong"]]
