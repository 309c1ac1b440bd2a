"""What can go wrong in the hub by somebody's mistake, or because a bound is reached."""


class HubError(Exception):
    """Something that the hub cannot work with; the message names it and says what is allowed."""


class BadMessageError(HubError):
    """A message that is wrong in itself: the same again would be refused again."""


class NotIntroducedError(HubError):
    """A node sent something before the Hello that belongs to it."""


class OutdatedStreamError(HubError):
    """A node opened a stream that is older than one the hub knows."""


class ReplacedStreamError(HubError):
    """A newer stream of the same node took the place of this one."""


class NoRoomError(HubError):
    """A bound is reached: the same may be tried again later."""


class UnknownNodeError(HubError):
    """The hub never saw this node."""
