"""The errors of the hub: mistakes of nodes, operators and settings, and limits that are reached."""


class HubError(Exception):
    """Something the hub cannot work with; the message names it and what is allowed."""


class BadMessageError(HubError):
    """A message that is wrong in itself: sent again, it would be rejected again."""


class NotIntroducedError(HubError):
    """A node sent something before its Hello."""


class OutdatedStreamError(HubError):
    """A node opened a stream that is older than one the hub knows."""


class OutOfOrderError(HubError):
    """A chunk comes before one that the hub has of the same node, and is not held."""


class ReplacedStreamError(HubError):
    """A newer stream of the same node replaced this one."""


class NoRoomError(HubError):
    """A limit is reached; the same request may succeed later."""


class UnknownNodeError(HubError):
    """The hub never saw this node."""


class UnauthenticatedError(HubError):
    """A call without a valid credential."""


class NotAllowedError(HubError):
    """A call that its credential does not allow."""
