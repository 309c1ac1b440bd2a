"""Events: the fan-out to subscribers, and the observer's file."""
