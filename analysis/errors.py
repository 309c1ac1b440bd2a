"""The error that the analysis raises for invalid input."""


class AnalysisError(Exception):
    """Run, trace or goal that cannot be evaluated; the message says what is wrong and what is expected."""
