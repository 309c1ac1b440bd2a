"""Stale thresholds: what each would have done on a trace, and which to set."""
