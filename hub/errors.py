"""What can go wrong in the hub by somebody's mistake."""


class HubError(Exception):
    """A setting or an address that the hub cannot work with; the message names it and says what is allowed."""
