"""What can go wrong in the hub by somebody's mistake."""


class HubError(Exception):
    """A setting or an address that the hub cannot work with; the message names it and says what is allowed."""


class OutdatedStreamError(HubError):
    """A node opened a stream that is older than one the hub knows."""


class NotIntroducedError(HubError):
    """A node sent something before the Hello that belongs to it."""
