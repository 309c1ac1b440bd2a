"""What it costs to make chunks durable."""
