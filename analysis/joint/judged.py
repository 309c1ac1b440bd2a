"""One setting of the nodes, simulated and judged under many hubs: the job that a search maps over an executor.

A job is a scenario with that setting; its result is what is needed to choose, a row per hub, and no gap. All jobs of a
search have the same seed, so the same outages, losses and starts; and their network intervals draw the same networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from heartbench.analysis.evidence import Evidence, simulated
from heartbench.analysis.intervals import rate_interval
from heartbench.analysis.qos import DAY_S, Qos
from heartbench.analysis.study import Frontiers, frontiers
from heartbench.analysis.sweep.cell import made_by
from heartbench.analysis.traffic import NOT_COUNTED, Traffic, traffic_of
from heartbench.analysis.tune import FLEET, Per
from heartbench.hub import HubSettings
from heartbench.simulator.scenario import Scenario

HALVES = ("half_rate", "half_high", "other_rate", "other_low", "other_high")
"""Columns of false stales per node-day in half of the nodes and time, its upper end, and the same in the other half.

NaN if the time is a single block.
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A scenario to simulate, and the hubs to judge it by; small and picklable."""

    scenario: Scenario
    hubs: tuple[HubSettings, ...]
    per: Per


@dataclass(frozen=True, slots=True)
class Judged:
    """What one setting of the nodes does under each hub.

    Attributes:
        hubs: the hubs, in the order of the rows.
        frames: by group, or of the fleet: what must meet the goal; rows as in `tune.frontier`, with HALVES.
        hours: how long each group's network was observed, h.
        traffic: what the nodes send and are sent.
        made_by: what decided the digits, if a worker simulated (`sweep.cell.made_by`).
    """

    hubs: tuple[HubSettings, ...]
    frames: Mapping[str, pd.DataFrame]
    hours: Mapping[str, float]
    traffic: Traffic = NOT_COUNTED
    made_by: str = ""


def judge_job(job: Job) -> Judged:
    """Simulate the scenario of a job, and judge it by each of its hubs."""
    evidence = simulated(job.scenario, policies=[hub.policy for hub in job.hubs])
    return replace(judge_evidence(evidence, job.hubs, job.per), traffic=traffic_of(job.scenario), made_by=made_by())


def judge_evidence(evidence: Evidence, hubs: Sequence[HubSettings], per: Per) -> Judged:
    """Judge each hub on the gaps of a run, without its traffic."""
    found = frontiers(evidence, evidence.readings[0], [hub.policy for hub in hubs])
    return Judged(tuple(hubs), _deciding(found, per), found.hours)


def _deciding(found: Frontiers, per: Per) -> dict[str, pd.DataFrame]:
    groups = {name: _with_halves(frame, [found.judged[name]]) for name, frame in found.groups.items()}
    if per is Per.GROUP or len(groups) == 1:
        return groups
    return {FLEET: _with_halves(found.fleet, list(found.judged.values()))}


def _with_halves(frame: pd.DataFrame, counted: Sequence[Qos]) -> pd.DataFrame:
    """Return a frontier with the columns HALVES: every second row of cells in the first half of the time, and the rest.

    A row is a node, or the nodes of a site; of very many sites, a random pool of them (`sites`).
    """
    first, second = _half(counted, 0), _half(counted, 1)
    columns = dict(zip(HALVES, (first[0], first[2], *second), strict=True))
    return frame.assign(**columns)


def _half(counted: Sequence[Qos], which: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return false stales per node-day in one half of the nodes and time, and the ends of their interval; (k,) each."""
    mistakes, days, independent = [], [], all(qos.independent for qos in counted)
    for qos in counted:
        middle = qos.up_s.shape[1] // 2
        blocks = slice(None, middle) if which == 0 else slice(middle, None)
        mistakes.append(qos.mistakes[which::2, blocks])
        days.append(qos.up_s[which::2, blocks] / DAY_S)
    events, time = np.concatenate(mistakes), np.concatenate(days)
    if not time.sum():
        nothing = np.full(events.shape[-1], np.nan)
        return nothing, nothing, nothing
    low, high = rate_interval(events, time, independent=independent).T
    return events.sum((0, 1)) / time.sum(), low, high
