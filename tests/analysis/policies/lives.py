"""Random lives of nodes, as their signs of life, and the same as arrays."""

import numpy as np
from hypothesis import strategies as st

from heartbench.analysis.policies import Arrivals
from heartbench.mesh.kinds import Kind

Sign = tuple[float, int, Kind]


@st.composite
def node_lives(draw: st.DrawFn) -> list[Sign]:
    """Arrivals of one node: heartbeats are lost or overtaken, streams begin again, boots count from 1 again."""
    at, seq, signs = draw(st.floats(0, 100)), 0, []
    for kind, wait_s, lost in draw(
        st.lists(
            st.tuples(
                st.sampled_from([*["heartbeat"] * 6, "chunk", "hello", "boot"]),
                st.one_of(st.floats(8, 12), st.floats(0, 40)),
                st.integers(-1, 3),
            ),
            max_size=40,
        )
    ):
        at += wait_s
        if kind == "heartbeat":
            seq = max(seq + 1 + lost, 1)
            signs.append((at, seq, Kind.HEARTBEAT))
        else:
            seq = 0 if kind == "boot" else seq
            signs.append((at, 0, Kind.CHUNK if kind == "chunk" else Kind.HELLO))
    return signs


def arrivals_of(lives: list[list[Sign]], interval_s: float) -> Arrivals:
    """Return the lives of nodes that all announce one interval."""
    signs = [sign for life in lives for sign in life]
    at, seq, kind = zip(*signs, strict=True) if signs else ((), (), ())
    return Arrivals(
        np.append(0, np.cumsum([len(life) for life in lives])),
        np.array(at, float),
        np.array(seq, np.int32),
        np.array(kind, np.int8),
        np.full(len(lives), interval_s),
    )
