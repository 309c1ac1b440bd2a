"""Where the simulated nodes live: one module an engine."""
