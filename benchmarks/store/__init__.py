"""The cost of making chunks durable."""
