"""The wire contract: what nodes, hub and operators say to each other. `heartbench.mesh.v1` is its first version."""
