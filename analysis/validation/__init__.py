"""Checks of the shipped figures: the recount of the driving traces, and the coverage of the network's interval."""
