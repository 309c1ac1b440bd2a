"""Where histories and node records outlive the hub: `memory:`, `sqlite:///path.db`, `redis://host:port/db`."""
