"""The option with which a command simulates on a Dask cluster instead of on this machine."""

from importlib.util import find_spec
from typing import Annotated

import typer

from heartbench.cli.errors import CommandError
from heartbench.hub.extras import how_to_install


def _installed(scheduler: str | None) -> str | None:
    if scheduler is not None and find_spec("distributed") is None:
        raise CommandError(f"--scheduler: Dask is not installed: {how_to_install('dask')}")
    return scheduler


Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="tcp://HOST:PORT",
        help="Simulate on the Dask cluster with this scheduler; by default on the cores of this machine.",
        callback=_installed,
    ),
]
