import asyncio
import math

import pytest

from heartbench.benchmarks.executors import compare, openloop
from heartbench.benchmarks.executors.openloop import CAPACITY_PER_S, LOADS, Message, Peaks, Trial, arrivals, figures


@pytest.mark.parametrize("load", LOADS)
def test_arrivals_have_the_rate_of_the_load(load: str) -> None:
    times = arrivals(load, 2.0)

    assert len(times) == round(LOADS[load] * CAPACITY_PER_S * 2.0)
    assert times == sorted(times)
    assert times[0] == 0.0
    assert times[-1] < 2.0


def test_waves_come_in_the_first_fifth_of_each_second() -> None:
    assert max(time % 1.0 for time in arrivals("waves", 2.0)) < openloop.WAVE_SHARE


def test_a_wait_counts_from_when_a_message_was_due_and_not_from_its_arrival() -> None:
    messages = [Message(0.0, 3.0, 4.0, 5.0), Message(1.0, 3.0, math.nan, math.nan, refused=True)]

    found = figures(messages, Peaks(late_s=[0.1, 0.2]), 0.0)

    assert found.wait_p99_s == 4.0
    assert found.refused == 1
    assert found.recovery_s == 4.0
    assert found.heartbeat_late_max_s == 0.2


@pytest.mark.parametrize("way", openloop.WAYS)
def test_every_message_is_done_or_refused(way: str) -> None:
    trial = Trial(way, "5")
    trial.messages = trial.messages[:60]

    asyncio.run(trial.run())

    assert all(each.refused != (each.ended_s > each.began_s) for each in trial.messages)
    assert trial.peaks.late_s


def test_only_a_bounded_executor_keeps_the_queue_in_the_hub_short() -> None:
    seen = {}
    for way in ("unbounded pool", "bounded, reject"):
        trial = Trial(way, "5")
        trial.messages = trial.messages[:100]
        asyncio.run(trial.run())
        seen[way] = (sum(each.refused for each in trial.messages), trial.peaks.in_hub)

    assert seen["unbounded pool"][0] == 0
    assert seen["bounded, reject"][0] > 0
    assert seen["bounded, reject"][1] <= openloop.WORKERS + openloop.QUEUE < seen["unbounded pool"][1]


def test_a_trial_runs_in_its_own_process() -> None:
    (row,) = compare.compare(["bounded, reject"], ["0.5"]).to_dict("records")

    assert row["way"] == "bounded, reject"
    assert row["load"] == "0.5"
    assert row["offered"] == row["done"] + row["refused"]
