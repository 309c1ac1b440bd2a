"""The core with what it needs from outside: clock, random numbers, the observer's file and the store."""

import random
from functools import partial

from heartbench.hub.clock import Clock
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.events.observer_file import Header, Observer
from heartbench.hub.store import Store
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.record_mapping import node_of, record_of
from heartbench.hub.store.writer import Writer


def open_hub(settings: HubSettings, clock: Clock, store: Store | None = None, seed: int | None = None) -> Hub:
    """Return a hub that knows what `store` holds; without one it starts empty and stores nothing.

    `seed` is for the jitter of the delays after which throttled nodes retry.

    Raises:
        HubError: The observer's file cannot be written.
    """
    now = clock.monotonic()
    store = store or MemoryStore(clock.unix(now))
    hub = Hub(
        settings,
        now,
        epoch=store.epoch,
        writer=open_writer(settings, store),
        record_of=partial(record_of, clock=clock),
        draw=random.Random(seed).random,
        observer=open_observer(settings, clock, store.epoch),
    )
    for stored in store.load():
        record = stored.record
        node = None if record is None else node_of(record, hub.registry, clock, settings.restart_grace_s)
        hub.restore(stored, node, now)
    return hub


def open_writer(settings: HubSettings, store: Store) -> Writer:
    """Return the writer in front of a store; it writes from the time its `run` is awaited."""
    return Writer(
        store,
        durability=settings.store_durability,
        max_chunks=settings.store_queue_chunks,
        max_bytes=settings.max_inflight_bytes // 4,
        linger_s=settings.store_linger_s,
    )


def open_observer(settings: HubSettings, clock: Clock, epoch: int) -> Observer | None:
    """Return the writer of the observer's file, or None if the settings name no file."""
    if settings.observe_file is None:
        return None
    now = clock.monotonic()
    return Observer(settings.observe_file, Header(now, clock.unix(now), epoch, settings.model_dump(mode="json")))
