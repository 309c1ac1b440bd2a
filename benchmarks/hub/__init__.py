"""What the hub's core costs."""
