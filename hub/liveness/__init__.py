"""Which nodes are online, stale or flapping: rules, registry and self-health. No I/O."""
