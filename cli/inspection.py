"""What the commands share that look into a running hub: its address, its calls, and messages as text.

`nodes`, `events`, `history` and `stats` each have a module of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import grpc
import typer
from google.protobuf.message import Message

from heartbench.cli.errors import CommandError
from heartbench.hub.config import HubSettings, read_environment
from heartbench.hub.printable import printable
from heartbench.mesh.address import is_address
from heartbench.mesh.channel import open_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.failures import reason_of
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

ANSWER_S = 20.0


def operators_address() -> str:
    """Return where a hub with the addresses in our environment serves operators."""
    found = {name: value for name, value in read_environment().items() if name in ("listen", "admin_listen")}
    settings = HubSettings.of(insecure=True, **found)  # whether it may listen there is the hub's affair
    try:
        return settings.admin_address or settings.listen
    except ValueError as error:
        raise CommandError(str(error)) from None


HubAddress = Annotated[
    str,
    typer.Option(
        "--hub",
        metavar="HOST:PORT",
        help="Address at which the hub serves operators; by default as HUB_ADMIN_LISTEN and HUB_LISTEN say.",
        default_factory=operators_address,
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def admin_at(hub: str, credentials: Credentials | None) -> Iterator[HubAdminStub]:
    """Open a channel to a hub for operators; an error of a call is one of the user's."""
    if not is_address(hub):
        raise CommandError(f'--hub: "{hub}": must be HOST:PORT')
    with open_channel(hub, credentials) as channel:
        try:
            yield HubAdminStub(channel)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                reason = "it serves no operators there: HUB_ADMIN_LISTEN of the hub says where"
            else:
                reason = printable(reason_of(error, tls=credentials is not None))
            raise CommandError(f"--hub: {hub}: {reason}") from None


def as_dict(message: Message) -> dict[str, Any]:
    """Return a message as JSON has it: with every field, numbers as numbers, enums as lower-case words."""
    fields: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.containing_oneof is not None and not message.HasField(field.name):
            continue
        if field.enum_type is not None:
            value = word(field.enum_type.values_by_number[value].name)
        elif field.message_type is not None:
            value = dict(value) if field.message_type.GetOptions().map_entry else as_dict(value)
        fields[field.name] = value
    return fields


def word(enum_name: str) -> str:
    """Return the last part of an enum's name: `online` for `STATUS_ONLINE`."""
    return enum_name.partition("_")[2].lower()


def shown(value: object) -> str:
    """Return a value for people."""
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))


def moment(unix_s: float) -> str:
    """Return a time as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
