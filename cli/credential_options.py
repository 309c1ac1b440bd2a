"""The options with which a command that calls a hub gets its credentials; `load_credentials` reads their files."""

from pathlib import Path
from typing import Annotated

import typer

TlsCa = Annotated[
    Path | None,
    typer.Option("--tls-ca", metavar="FILE", help="CA of the hub's certificate (PEM); calls the hub over TLS."),
]
Cert = Annotated[Path | None, typer.Option("--cert", metavar="FILE", help="Our certificate (PEM), for mutual TLS.")]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The key of --cert (PEM).")]
Token = Annotated[Path | None, typer.Option("--token", metavar="FILE", help="File with our token.")]
