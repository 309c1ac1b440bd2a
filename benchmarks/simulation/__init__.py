"""What simulated time costs: streams, fleets, and judging what they did."""
