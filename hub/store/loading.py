"""Checks of what a store holds, before a hub relies on it: anything that this hub could not have written is damage."""

from math import isfinite

from pydantic import ValidationError

from heartbench.hub.printable import shown
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.protocol import StoreDamagedError
from heartbench.hub.store.record import NodeRecord


def damaged(where: object, what: str) -> StoreDamagedError:
    """Return the error for a store at `where` that cannot be used because of `what`."""
    reason = " ".join(what.split())
    return StoreDamagedError(
        f"HUB_STORE_URL: {where} is damaged: {reason}; restore it from a backup, or move it away to begin with an "
        "empty store"
    )


def named(node_id: object) -> str:
    """Return how a node is named in an error."""
    return f"node {shown(node_id)}"


def record_in(text: str | bytes, node_id: str) -> NodeRecord:
    """Return the record of a node; ValueError if it is not one."""
    try:
        record = NodeRecord.from_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].replace("Input should be ", "must be ")
        field = ".".join(str(part) for part in first["loc"])
        value = f" {field}={shown(first['input'])}:" if field else ""
        raise ValueError(f"{named(node_id)}: its record:{value} {message}") from None
    if record.node_id != node_id:
        raise ValueError(f"{named(node_id)}: its record is that of {shown(record.node_id)}")
    return record


def chunk_in(node_id: object, boot_id: object, seq: object, sent_unix_s: object, data: object) -> StoredChunk:
    """Return a chunk that a store holds of a node; ValueError if a value is of the wrong kind or out of range."""
    if (
        type(node_id) is str
        and type(boot_id) is int
        and type(seq) is int
        and type(sent_unix_s) is float
        and type(data) is bytes
        and boot_id >= 0
        and seq >= 0
        and isfinite(sent_unix_s)
    ):
        return StoredChunk(boot_id, seq, sent_unix_s, data)
    place = f"chunk {shown(boot_id)}/{shown(seq)}"
    raise ValueError(f"{named(node_id)}: {place} has a value of the wrong kind or out of range")
