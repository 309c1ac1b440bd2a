"""The options that `tune` and `report` share: the goal, and what is known of an imported trace."""

import typer

MAX_FALSE_STALE = typer.Option(metavar="RATE", help="Maximum rate of false stales: live nodes marked stale.")
MAX_DETECTION = typer.Option(metavar="DURATION", help="Longest p99 detection time.")
PER = typer.Option(help="Whether each group must meet the goal, or the fleet on average.")
NOW = typer.Option(metavar="DURATION", help="Current stale threshold; only for an imported log or trace.")
JSON = typer.Option("--json", help="Print one JSON object.")
