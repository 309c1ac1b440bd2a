"""The error of this package."""


class BenchmarkError(Exception):
    """An input that cannot be used; the message names it and states what is allowed."""
