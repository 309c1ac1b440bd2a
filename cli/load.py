"""`heartbench load`: Locust with the fleet's users, in a process of its own."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

import heartbench.simulator.engines.locust
from heartbench.cli.errors import CommandError
from heartbench.hub.extras import how_to_install

QUIET = {
    "GRPC_VERBOSITY": "ERROR",  # else gRPC logs a line for each connection that breaks
    "LOCUST_WEB_HOST": "127.0.0.1",  # else Locust listens to the whole network
    "LOCUST_MASTER_BIND_HOST": "127.0.0.1",
}
LOCUSTFILE = Path(heartbench.simulator.engines.locust.__file__).with_name("locustfile.py")


def load(
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[LOCUST OPTIONS]", help="Anything that `locust` takes.")
    ] = None,
) -> None:
    """Load a running hub with the nodes of a scenario, as Locust users: with its web page, or --headless.

    --scenario NAME and --seed N say which nodes, --host HOST:PORT which hub;
    all else is Locust's: `heartbench load --headless -u 200 -r 50 -t 20s` has
    200 nodes, 50 more each second, for 20 s. `heartbench load -- --help` lists
    it; --master and --worker spread the nodes over processes.
    """
    if find_spec("locust") is None:
        raise CommandError(f"load: Locust is not installed: {how_to_install('load')}")
    command = [sys.executable, "-P", "-m", "locust", "-f", str(LOCUSTFILE), *(options or [])]
    sys.stdout.flush()
    # In our place, so that signals and exit status are Locust's own.
    os.execve(sys.executable, command, QUIET | os.environ)  # noqa: S606


# What looks like an option is Locust's.
load.context_settings = {"ignore_unknown_options": True, "help_option_names": ["--help"]}  # type: ignore[attr-defined]
