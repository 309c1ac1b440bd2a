"""The core with what it needs from outside: clock, random numbers, the files that it records into, and the store."""

import random
from functools import partial

from heartbench.hub.clock import Clock
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.events.observer_file import Header, Observer
from heartbench.hub.events.recorder import Recorder
from heartbench.hub.events.trace_journal import Piece
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.protocol import Store
from heartbench.hub.store.record_mapping import node_of, record_of
from heartbench.hub.store.writer import Writer


def open_hub(settings: HubSettings, clock: Clock, store: Store | None = None, seed: int | None = None) -> Hub:
    """Return a hub that knows what `store` holds; without one it starts empty and stores nothing.

    `seed` is for the jitter of the delays after which throttled nodes retry. HubError if the observer's file cannot be
    written.
    """
    now = clock.monotonic()
    store = store or MemoryStore(clock.unix(now))
    writer = Writer(
        store,
        durability=settings.store_durability,
        max_chunks=settings.store_queue_chunks,
        max_bytes=settings.max_inflight_bytes // 4,
        linger_s=settings.store_linger_s,
    )
    observer = None
    if settings.observe_file is not None:
        header = Header(now, clock.unix(now), store.epoch, settings.model_dump(mode="json"))
        observer = Observer(settings.observe_file, header)
    recorder = None
    if settings.trace_dir is not None:
        unix_s = clock.unix(now)
        begins = Piece(unix_s, 0, store.epoch, settings.stale_after_s, from_s=now, to_s=now, offset_s=unix_s - now)
        recorder = Recorder(settings.trace_dir, settings.trace_bytes, begins)
    hub = Hub(
        settings,
        now,
        epoch=store.epoch,
        writer=writer,
        record_of=partial(record_of, clock=clock),
        draw=random.Random(seed).random,
        observer=observer,
        recorder=recorder,
    )
    hub.latency.offset_s = clock.unix(now) - now
    for stored in store.load():
        record = stored.record
        node = None if record is None else node_of(record, hub.registry, clock, settings.restart_grace_s)
        hub.restore(stored, node, now)
    return hub
