"""`heartbench certs`: a CA, certificates and tokens for a hub, its nodes and its operators, as files in one folder."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from typer.core import TyperCommand

from heartbench.cli.errors import CommandError
from heartbench.cli.output import print_json, print_table
from heartbench.hub.extras import how_to_install
from heartbench.hub.security.identity import Grant, Role
from heartbench.hub.security.tokens import new_token

if TYPE_CHECKING:
    from heartbench.hub.security.authority import Authority, Pair

LISTS = ("--hub", "--node", "--operator")
UNFINISHED = ".unfinished"
LONGEST_FILE_NAME = 255


class ManyNames(TyperCommand):
    """A command that takes several names after one option, as in `--node a b`, once its folder is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each name."""
        option, repeated = "", list[str]()
        for place, word in enumerate(args):
            if word.startswith("-"):
                option = word if word in LISTS and not args[0].startswith("-") else ""
            elif option and args[place - 1] != option:
                repeated.append(option)
            repeated.append(word)
        return super().parse_args(ctx, repeated)


certs = typer.Typer(no_args_is_help=True, help="Certificates and tokens for a hub, its nodes and its operators.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the CA and of all that it issues.")]
Hubs = Annotated[
    list[str] | None,
    typer.Option("--hub", metavar="NAME...", help="DNS names and IP addresses at which nodes reach the hub."),
]
Nodes = Annotated[
    list[str] | None, typer.Option("--node", metavar="NAME...", help="A node's node_id; `*` stands for any characters.")
]
Operators = Annotated[list[str] | None, typer.Option("--operator", metavar="NAME...", help="Who may call HubAdmin.")]
Days = Annotated[float, typer.Option(min=0.01, max=3650, help="Days until they expire.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, slots=True)
class Written:
    """The files of one certificate or token."""

    role: str
    name: str
    files: dict[str, Path]


@certs.command(cls=ManyNames)
def init(
    folder: Folder,
    hub: Hubs = None,
    node: Nodes = None,
    operator: Operators = None,
    days: Days = 365,
    as_json: Json = False,
) -> None:
    """Make a CA, the hub's certificate, and one for each node and operator.

    The hub's holds for this machine too (localhost). Without --operator there is
    one of that name. Existing files are not touched. ca.key signs certificates:
    keep it away from the hub. hub.env has the hub's settings for its certificate.
    """
    authority = authority_of(None)
    ca = Planned("ca", "", authority.pair)
    planned = [ca, *issued(authority, hub or ["localhost"], node, operator or ["operator"], days)]
    environment = {
        "HUB_TLS_CERT": folder / "hub.pem",
        "HUB_TLS_KEY": folder / "hub.key",
        "HUB_TLS_CLIENT_CA": folder / "ca.pem",
    }
    lines = "".join(f"{name}={in_quotes(path.absolute())}\n" for name, path in environment.items())
    write_all(folder, {**files_of(planned), "hub.env": lines.encode()})
    show([each.written(folder) for each in planned], as_json, {"hub_env": folder / "hub.env"})


@certs.command(cls=ManyNames)
def issue(
    folder: Folder,
    hub: Hubs = None,
    node: Nodes = None,
    operator: Operators = None,
    days: Days = 365,
    replace: Annotated[bool, typer.Option("--replace", help="Replace files that exist: renew certificates.")] = False,
    as_json: Json = False,
) -> None:
    """Make further certificates with the CA in DIR, or renew some.

    A hub that runs takes a renewed certificate for its next connections.
    """
    planned = issued(authority_of(folder), hub, node, operator, days)
    if not planned:
        raise CommandError("certs issue: name what to issue: --hub, --node or --operator")
    write_all(folder, files_of(planned), replace=replace)
    show([each.written(folder) for each in planned], as_json)


@certs.command(cls=ManyNames)
def token(
    folder: Folder,
    node: Nodes = None,
    operator: Operators = None,
    days: Days = 365,
    as_json: Json = False,
) -> None:
    """Make tokens, each in a file of its own, and add their hashes to DIR/tokens.

    HUB_TOKENS=DIR/tokens makes the hub accept them. It reads the file again when
    it changes; remove a line to revoke a token.
    """
    grants = grants_of(node, operator)
    if not grants:
        raise CommandError("certs token: name whom it is for: --node or --operator")
    made = {grant: new_token(grant, datetime.now(UTC) + timedelta(days=days)) for grant in grants}
    files = {f"{stem(*grant_words(grant))}.token": f"{text}\n".encode() for grant, (text, _) in made.items()}
    write_all(folder, files)
    hashes = folder / "tokens"
    before = hashes.read_bytes().splitlines() if hashes.exists() else []
    lines = [*before, *(line.encode() for _, line in made.values())]
    write_all(folder, {hashes.name: b"".join(line + b"\n" for line in lines)}, replace=True)
    written = [Written(*grant_words(grant), {"token": folder / name}) for grant, name in zip(made, files, strict=True)]
    show(written, as_json, {"tokens": hashes})


@dataclass(frozen=True, slots=True)
class Planned:
    """A certificate with its key that is to be written."""

    role: str
    name: str
    pair: "Pair"

    def written(self, folder: Path) -> Written:
        """Return the files that it is in."""
        name = stem(self.role, self.name)
        return Written(self.role, self.name, {"cert": folder / f"{name}.pem", "key": folder / f"{name}.key"})


def authority_of(folder: Path | None) -> "Authority":
    """Return the CA in a folder; without one a new CA."""
    if find_spec("cryptography") is None:
        raise CommandError(f"certs: the package cryptography is not installed: {how_to_install('secure')}")
    from heartbench.hub.security.authority import Authority, Pair

    now = datetime.now(UTC)
    if folder is None:
        return Authority.new(f"heartbench CA {now:%Y-%m-%d}", now)
    return Authority.read(Pair((folder / "ca.pem").read_bytes(), (folder / "ca.key").read_bytes()), now)


def issued(
    authority: "Authority",
    hubs: Sequence[str] | None,
    nodes: Sequence[str] | None,
    operators: Sequence[str] | None,
    days: float,
) -> list[Planned]:
    """Issue the certificates that the options name."""
    planned = [Planned("hub", "", authority.hub(hubs, days))] if hubs else []
    grants = grants_of(nodes, operators)
    return [*planned, *(Planned(*grant_words(grant), authority.client(grant, days)) for grant in grants)]


def grants_of(nodes: Iterable[str] | None, operators: Iterable[str] | None) -> list[Grant]:
    """Return the grants that the options name, each once."""
    grants = [Grant(Role.NODE, name) for name in nodes or ()]
    grants += [Grant(Role.OPERATOR, name) for name in operators or ()]
    if any(not grant.name for grant in grants):
        raise CommandError("--node, --operator: a name must not be empty")
    for grant in grants:
        try:
            grant.name.encode()
        except UnicodeEncodeError:  # Python keeps bytes of an argument that are no text as surrogates
            raise CommandError(f"--{grant.role}: {grant.name!r}: expected a name in UTF-8") from None
    return list(dict.fromkeys(grants))


def grant_words(grant: Grant) -> tuple[str, str]:
    """Return a grant's role and name."""
    return grant.role.value, grant.name


def stem(role: str, name: str) -> str:
    """Return the name of a file without its ending; what a file name cannot hold is percent-encoded."""
    return f"{role}-{quote(name, safe='')}" if name else role


def files_of(planned: Iterable[Planned]) -> dict[str, bytes]:
    """Return the content of each file by its name."""
    files: dict[str, bytes] = {}
    for each in planned:
        name = stem(each.role, each.name)
        files |= {f"{name}.pem": each.pair.certificate, f"{name}.key": each.pair.key}
    return files


def write_all(folder: Path, files: dict[str, bytes], *, replace: bool = False) -> None:
    """Write files that only the owner can read, or none of them if one exists and is not to be replaced.

    A file that is replaced keeps its owner and its mode: the hub may run as another user.
    """
    for name in files:
        if len(name + UNFINISHED) > LONGEST_FILE_NAME:
            raise CommandError(f"{name[:64]}...: the name of the file would be too long; nothing was written")
        if (folder / name).exists() and not replace:
            raise CommandError(f"{folder / name}: exists; nothing was written")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        unfinished = folder / (name + UNFINISHED)
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with suppress(FileNotFoundError, PermissionError):  # it is new, or not ours to give away
                before = (folder / name).stat()
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o777)
            file.write(content)
        unfinished.replace(folder / name)


def in_quotes(path: Path) -> str:
    """Return a path as an env file holds it."""
    return "'" + str(path).replace("\\", r"\\").replace("'", r"\'") + "'"


def show(written: Iterable[Written], as_json: bool, others: dict[str, Path] | None = None) -> None:
    """Print the names of the files."""
    if not as_json:
        rows = [(each.role, each.name, " ".join(map(str, each.files.values()))) for each in written]
        print_table("", ["for", "name", "files"], [*rows, *((name, "", path) for name, path in (others or {}).items())])
        return
    report: dict[str, Any] = {"schema": "heartbench.certs/1", **(others or {})}
    for each in written:
        if each.name:
            report.setdefault(f"{each.role}s", {})[each.name] = each.files
        else:
            report[each.role] = each.files
    print_json(report)
