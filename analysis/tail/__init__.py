"""How often gaps of a log would exceed a threshold that few or none of them exceed: peaks over threshold.

`choice` chooses the threshold from which on gaps are generalised Pareto, `rates` draws the rates of the networks that
fit them, or refuses. `tail_assumptions` says how far that extrapolates.
"""
