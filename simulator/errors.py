"""The error that the simulator raises for invalid input."""


class SimulatorError(Exception):
    """Invalid scenario, profile or trace; the message names file, key, value and what is expected."""
