"""What happened: event types, the observer's file, and who is told."""
