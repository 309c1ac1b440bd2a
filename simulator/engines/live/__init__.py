"""Engine `live`: real gRPC nodes at a real hub, on the model's network and the model's schedule.

engine           one run: starts hub and shards, sets time 0, ends everything, writes what was measured
hub              the hub, a managed process or an external one
faults           faults of a managed hub
shards           the processes that run the nodes, as the engine sees them
shard            one of them: a scheduler, and the real connections of its nodes
world            the modelled side of its nodes, advanced as time passes
grpc_connection  one modelled connection as a real one
messages         the real message for a row of the model, and the files that nodes hand over
record           measurements of shards and hub, as trace, truth and transitions
"""
