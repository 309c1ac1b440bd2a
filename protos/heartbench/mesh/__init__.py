"""The wire contract between nodes, hub and operators. `heartbench.mesh.v1` is its first version."""
