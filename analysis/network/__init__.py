"""What is known of a network: how its outages were counted."""
