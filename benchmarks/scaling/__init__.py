"""The growth of costs of the hub, the simulator and the analysis with size."""
