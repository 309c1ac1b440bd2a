"""Mistakes in what was typed, beyond what the parser of options finds."""


class CommandError(Exception):
    """An option that cannot be used; the message names it and says what is allowed."""
