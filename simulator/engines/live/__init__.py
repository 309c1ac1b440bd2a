"""Engine `live`: real gRPC nodes at a real hub, on the model's network and the model's schedule.

engine    one run: starts hub and shards, agrees on time 0, ends everything, writes what was measured
hub       the hub as a process of its own
faults    what goes wrong with it
shards    the processes in which the nodes live, as the engine sees them
shard     one of them: a scheduler, and the wires of its nodes
world     the modelled side of its nodes, advanced as time goes by
wire      one modelled connection as a real one
files     what nodes hand over as files
record    what the shards did and the hub wrote down, as trace, truth and transitions
"""
