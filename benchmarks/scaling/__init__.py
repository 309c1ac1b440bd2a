"""How the cost of the hub and of the simulator grows with what they hold."""
