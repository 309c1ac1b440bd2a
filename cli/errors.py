"""The error for invalid arguments that the option parser accepts."""


class CommandError(Exception):
    """Invalid option; the message names it and what is expected."""
