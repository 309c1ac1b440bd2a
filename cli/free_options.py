"""The options of `tune` that let other settings than the threshold be free."""

import typer

FREE = typer.Option(
    metavar="KNOBS",
    help="Settings to search together: threshold, detector, flaps (hub); keepalive, user-timeout, reconnect, "
    "interval (nodes). Separated by commas.",
)
NODE_OUT = typer.Option(metavar="FILE", help="Settings for the nodes, written if one is free and the goal is met.")
MAX_TRAFFIC = typer.Option(
    metavar="BYTES", help="With --free: most bytes per node-day, such as 2MB. Default: twice the current traffic."
)
PERMITTED_PINGS = typer.Option(
    metavar="DURATION",
    help="With --free: shortest time between keepalive pings that your server permits. Heartbench's hub: any.",
)
