"""What can go wrong in the judgement by somebody's mistake."""


class BenchmarkError(Exception):
    """An input that cannot be judged; the message names it and says what is allowed."""
