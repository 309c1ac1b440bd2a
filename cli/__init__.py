"""The `heartbench` command: one module per subcommand."""
