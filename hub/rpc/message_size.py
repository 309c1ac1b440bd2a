"""The longest message that the hub accepts, and how it refuses a longer one.

gRPC refuses a message that is over its limit with RESOURCE_EXHAUSTED, which a node takes for a reason to try again. So
its limit is a multiple of ours: a message between the two is read, and refused with the reason.
"""

from google.protobuf.message import Message

from heartbench.hub.errors import BadMessageError

REFUSED_WITH_REASON = 4
"""gRPC's limit as a multiple of HUB_MESSAGE_BYTES."""


def check_size(message: Message, limit_bytes: int) -> None:
    """Raise BadMessageError for a message that is longer than the limit."""
    size_bytes = message.ByteSize()
    if size_bytes > limit_bytes:
        kind = message.DESCRIPTOR.name
        raise BadMessageError(f"a {kind} of {size_bytes} bytes is too long: HUB_MESSAGE_BYTES allows {limit_bytes}")
