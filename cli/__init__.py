"""The `heartbench` command: a file a command."""
