"""Mistakes of a user that the analysis finds."""


class AnalysisError(Exception):
    """A run, a trace or a goal that cannot be judged; the message says what is wrong and what is allowed."""
