"""What can go wrong in the simulator by somebody's mistake."""


class SimulatorError(Exception):
    """A scenario, profile or trace that cannot be used; the message names file, key, value and what is allowed."""
