"""A node's terminal history: the hub's ring compared with a list that is copied."""
