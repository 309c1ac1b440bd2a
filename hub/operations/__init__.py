"""What those who run a hub use: its health, its metrics over HTTP, and new settings without a restart."""
