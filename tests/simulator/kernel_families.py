"""The connections on which the model of TCP is compared with the kernel, by family: mostly drawn at random."""

import random
from collections.abc import Callable

from tests.simulator.kernel_case import Case

PROFILE = "wireguard-5g"
PROFILE_RTT_S = 0.08  # its median

# Rows of 2 to 25 s of the ladder in docs/tcp-model.md; the RTO is as it is there from the first round trip on.
TABLE = [Case(0.085, 1.0, 5, outage_s, phase) for outage_s in (2, 6, 10, 15, 20, 25) for phase in (0.2, 0.5, 0.95)]


def _table(draw: random.Random, number: int) -> Case:
    del draw
    return TABLE[number % len(TABLE)]


def _random(draw: random.Random, number: int) -> Case:
    """Draw from all that a node may meet on a link with a constant delay."""
    del number
    interval_s = draw.choice((0.2, 1.0, 3.0, 10.0))
    return Case(
        rtt_s=draw.choice((0.005, 0.02, 0.047, 0.085, 0.15, 0.3, 0.6)) * draw.uniform(0.9, 1.1),
        interval_s=interval_s,
        warmup=draw.choice((2, 3, 5) if interval_s > 2.0 else (7, 14, 40)),
        outage_s=draw.choice((1.0, 2.0, 4.0, 6.0, 10.0, 15.0, 20.0, 25.0, 40.0)) * draw.uniform(0.9, 1.1),
        phase=draw.uniform(0.1, 0.95),
        user_timeout_s=draw.choice((0.0, 0.0, 0.0, 5.0, 20.0)),
        asks=draw.random() < 0.3,
    )


def _jitter(draw: random.Random, number: int) -> Case:
    """Draw outages on a link whose delay varies as the profile says."""
    interval_s = draw.choice((0.5, 1.0, 3.0))
    return Case(
        rtt_s=PROFILE_RTT_S,
        interval_s=interval_s,
        warmup=draw.randint(int(3.0 / interval_s), int(24.0 / interval_s)),
        outage_s=draw.choice((1.0, 2.0, 4.0, 6.0, 10.0, 15.0, 20.0)) * draw.uniform(0.9, 1.1),
        phase=draw.uniform(0.1, 0.95),
        user_timeout_s=draw.choice((0.0, 0.0, 0.0, 5.0)),
        profile=PROFILE,
        draws=number,
    )


def _fast(draw: random.Random, number: int) -> Case:
    """Draw connections with 10 to 20 messages a second."""
    interval_s = 1.0 / draw.uniform(10.0, 20.0)
    return Case(
        rtt_s=draw.choice((0.02, 0.085, 0.15, 0.3)) * draw.uniform(0.9, 1.0),
        interval_s=interval_s,
        warmup=int(draw.uniform(3.0, 10.0) / interval_s),
        outage_s=draw.choice((1.0, 2.0, 4.0, 8.0, 12.0, 16.0)) * draw.uniform(0.9, 1.1),
        phase=draw.uniform(0.1, 0.95),
        draws=number,
    )


def _loss(draw: random.Random, number: int) -> Case:
    """Draw links that lose 0.5 to 5% of the packets, one by one or as many as leave in 0.4 s; half have an outage."""
    interval_s = draw.choice((0.2, 0.5, 1.0))
    burst = draw.random() < 0.4
    return Case(
        rtt_s=draw.choice((0.02, 0.085, 0.15, 0.3)) * draw.uniform(0.9, 1.1),
        interval_s=interval_s,
        warmup=int((60.0 if number % 2 else 20.0) / interval_s),
        outage_s=0.0 if number % 2 else draw.choice((1.0, 2.0, 4.0, 8.0, 12.0)) * draw.uniform(0.9, 1.1),
        phase=draw.uniform(0.1, 0.95),
        asks=draw.random() < 0.3,
        loss=draw.choice((0.005, 0.01, 0.02, 0.05)),
        loss_s=0.4 if burst else 0.01,
        draws=number,
    )


def _chunks(draw: random.Random, number: int) -> Case:
    """Draw chunks of 16 KiB, little more than the first window, beside heartbeats."""
    return _with_chunks(draw, number, 16 << 10)


def _bulk(draw: random.Random, number: int) -> Case:
    """Draw chunks of 64 KiB beside heartbeats: many windows each on a slow link."""
    return _with_chunks(draw, number, 64 << 10)


def _with_chunks(draw: random.Random, number: int, chunk_bytes: int) -> Case:
    """Draw heartbeats and chunks; three of four links have an outage, half lose up to 1% of the packets."""
    interval_s = draw.choice((0.5, 1.0, 3.0))
    return Case(
        rtt_s=draw.choice((0.02, 0.085, 0.15, 0.3)) * draw.uniform(0.9, 1.1),
        interval_s=interval_s,
        warmup=int(30.0 / interval_s),
        outage_s=0.0 if number % 4 == 1 else draw.choice((1.0, 2.0, 4.0, 8.0, 12.0)) * draw.uniform(0.9, 1.1),
        phase=draw.uniform(0.1, 0.95),
        loss=draw.choice((0.005, 0.01)) if number % 2 else 0.0,
        loss_s=0.01,
        chunk_bytes=chunk_bytes,
        chunk_interval_s=draw.uniform(1.3, 4.0),
        draws=number,
    )


FAMILIES: dict[str, Callable[[random.Random, int], Case]] = {
    "table": _table,
    "random": _random,
    "jitter": _jitter,
    "fast": _fast,
    "loss": _loss,
    "chunks": _chunks,
    "bulk": _bulk,
}


def draw_cases(family: str, count: int, seed: int) -> list[Case]:
    """Draw `count` connections of a family. Their links' draws go by number, whatever the seed."""
    draw = random.Random(seed)
    return [FAMILIES[family](draw, number) for number in range(count)]
