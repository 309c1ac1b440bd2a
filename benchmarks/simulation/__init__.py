"""The cost of simulated time: streams, fleets, and their evaluation."""
