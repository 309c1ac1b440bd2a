"""`heartbench load`: Locust with the nodes of a scenario as its users, in a separate process."""

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
    "GRPC_VERBOSITY": "ERROR",  # otherwise gRPC logs a line per broken connection
    "LOCUST_WEB_HOST": "127.0.0.1",  # otherwise Locust listens on all interfaces
    "LOCUST_MASTER_BIND_HOST": "127.0.0.1",
}
LOCUSTFILE = Path(heartbench.simulator.engines.locust.__file__).with_name("locustfile.py")


def load(
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[LOCUST OPTIONS]", help="Options of `locust`.")
    ] = None,
) -> None:
    """Put load on a running hub from the nodes of a scenario, as Locust users.

    --scenario NAME and --seed N select the nodes, --host HOST:PORT the hub, and
    --tls-ca, --cert, --key and --token FILE the credentials of all nodes. All
    other options are Locust's: `heartbench load --headless -u 200 -r 50 -t 20s`
    runs 200 nodes for 20 s and starts 50 per second; without --headless Locust
    serves its web page. `heartbench load -- --help` lists all options; --master
    and --worker spread the nodes over processes.
    """
    if find_spec("locust") is None:
        raise CommandError(f"load: Locust is not installed: {how_to_install('load')}")
    command = [sys.executable, "-P", "-m", "locust", "-f", str(LOCUSTFILE), *(options or [])]
    sys.stdout.flush()
    # Replaces this process, so that signals and exit status are Locust's.
    os.execve(sys.executable, command, QUIET | os.environ)  # noqa: S606


# Unknown options are passed to Locust.
load.context_settings = {"ignore_unknown_options": True, "help_option_names": ["--help"]}  # type: ignore[attr-defined]
