"""Blocking work beside an event loop: the hub's bounded executor against the ways that it does not go."""
