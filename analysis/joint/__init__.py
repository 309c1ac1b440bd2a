"""Which settings of the hub and of the nodes together meet a goal."""
