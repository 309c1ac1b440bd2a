"""Events: their types, the observer's file, and the fan-out to subscribers."""
