"""Work that waits, and its bounds."""
