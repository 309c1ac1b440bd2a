"""A node's terminal history: the ring of the hub against the list that is spliced."""
