"""The fleet of a scenario as Locust users: `heartbench load --headless -u 200 -r 50 -t 20s`, or with its web page.

A user is a node with a TCP connection of its own. Locust starts and stops users, adds up the figures and spreads the
users over processes; the model decides what a node sends when, and when the link delivers it. In the table:

    hub   connect, heartbeat, chunk   from writing to the hub's answer, real time
    hub   stream                      ends that no node asked for (only failures)
    link  heartbeat                   from sending to arriving, in the model

Only Locust imports this file: importing it patches the process (gevent).
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import gevent
import grpc.experimental.gevent
from locust import User, events, task
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from heartbench.hub.program import complain, quietly
from heartbench.mesh.address import is_address
from heartbench.mesh.credentials import Credentials, CredentialsError, load_credentials
from heartbench.simulator.engines.locust.fleet import Fleet, Member
from heartbench.simulator.engines.locust.grpc_connection import NodeConnection
from heartbench.simulator.engines.locust.node import Node
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.scenario import Scenario, load_scenario

grpc.experimental.gevent.init_gevent()
# gRPC waits for each channel's events in a native thread of gevent's pool, 0.2 s at a time. With the pool's default of
# 10 threads, 30 channels waited for each other: the median acknowledgement took 130 ms instead of 1.3 ms.
gevent.get_hub().threadpool.maxsize = 20_000

LONGEST_NAP_S = 0.25  # within which a node notices that the hub ended its stream
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
CREDENTIALS = {
    "--tls-ca": "CA of the hub's certificate (PEM); calls the hub over TLS.",
    "--cert": "Our certificate (PEM), for mutual TLS.",
    "--key": "The key of --cert (PEM).",
    "--token": "File with our token.",
}
log = logging.getLogger("heartbench.load")


class NodeUser(User):
    """One node of the fleet."""

    host = "127.0.0.1:50551"
    fleet: ClassVar[Fleet | None] = None
    origin_s: ClassVar[float] = 0.0
    credentials: ClassVar[Credentials | None] = None
    is_checked: ClassVar[bool] = False  # the options are those of a load test that may begin

    def on_start(self) -> None:
        """Become a node of the fleet that no other user is."""
        if self.fleet is None:
            raise StopUser
        self._wait_s = 0.0
        self._member: Member = self.fleet.take()
        address = address_of(str(self.host))
        nodes = self.fleet.scenario.nodes
        connect = partial(NodeConnection, address, self.credentials)
        self._node = Node(self._member, nodes, self.origin_s, connect, self._report)

    @task
    def live(self) -> None:
        """Do what is due now."""
        self._wait_s = self._node.step()

    def wait_time(self) -> float:
        """Return the time until the next event is due, s."""
        return min(max(self._wait_s, 0.0), LONGEST_NAP_S)

    def on_stop(self) -> None:
        """Leave the hub and free the node for another user."""
        if self.fleet is not None:
            self._node.leave()
            self.fleet.give_back(self._member)

    def _report(self, kind: str, name: str, took_s: float, error: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type=kind, name=name, response_time=1000 * took_s, response_length=0, exception=error, context={}
        )


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add the options that choose what runs."""
    parser.add_argument("--scenario", default="lan", help="Name or TOML file of a scenario (heartbench scenarios).")
    parser.add_argument("--seed", default="", help="Random seed; the scenario's if not given.")
    for name, meaning in CREDENTIALS.items():
        parser.add_argument(name, metavar="FILE", type=Path, default=None, help=meaning, include_in_web_ui=False)
    parser.error = lambda message: sys.exit(complain(f"load: {message}"))
    parser.parse_args = checked(parser.parse_args)


def checked(parse_args: Callable[..., Any]) -> Callable[..., Any]:
    """Return a parser of the command line that rejects wrong options in one line, before Locust logs that it starts."""

    def parse_and_check(*arguments: Any, **named: Any) -> Any:
        options = parse_args(*arguments, **named)
        if NodeUser.is_checked:  # the web page parses them again for each view
            return options
        try:
            check(options)
        except (SimulatorError, CredentialsError) as error:
            sys.exit(complain(str(error)))
        NodeUser.is_checked = True
        return options

    return parse_and_check


def check(options: Any) -> None:
    """Raise SimulatorError or CredentialsError for wrong options; keep the credentials."""
    chosen(options)
    NodeUser.credentials = load_credentials(options.tls_ca, options.cert, options.key, options.token)
    if options.num_users is not None and options.num_users < 1:
        raise SimulatorError(f"--users: {options.num_users}: must be 1 or more")
    if options.host is not None and not is_address(address_of(options.host)):
        raise SimulatorError(f"--host: {options.host}: must be HOST:PORT")


@events.init.add_listener
def print_at_end(environment: Any, **_: Any) -> None:
    """Print one JSON object at the end, if it is asked for."""
    options = environment.parsed_options
    if options.json:
        options.json = False  # Locust would print a list without all that it counted
        if not isinstance(environment.runner, WorkerRunner):
            environment.events.quit.add_listener(partial(print_figures, environment))


def print_figures(environment: Any, exit_code: int, **_: Any) -> None:
    """Print the figures as one JSON object."""

    def write() -> int:
        options = environment.parsed_options
        print(json.dumps(figures_of(environment.stats, options, options.host or NodeUser.host, exit_code)))
        return exit_code

    quietly(write)


def figures_of(stats: Any, options: Any, hub: str, status: int) -> dict[str, Any]:
    """Return the figures of a test.

    Args:
        stats: Locust's `RequestStats`.
        options: Locust's parsed options.
        hub: the hub's address.
        status: exit status of the process.
    """
    return {
        "schema": "heartbench.load/1",
        "scenario": options.scenario,
        "seed": seed_of(options),
        "hub": hub,
        "status": status,
        "rows": [row_of(entry) for entry in stats.entries.values() if entry.num_requests],
        "failures": [
            {"type": error.method, "name": error.name, "reason": error.to_name(), "count": error.occurrences}
            for error in stats.errors.values()
        ],
    }


def seed_of(options: Any) -> int | None:
    """Return the seed of the scenario that the options choose; None if the web page chose one that is not known."""
    try:
        return chosen(options).seed
    except SimulatorError:
        return None


def row_of(entry: Any) -> dict[str, Any]:
    """Return the figures of one kind of request, including failed ones; Locust counts in ms and rounds quantiles."""
    quantiles = {name: entry.get_response_time_percentile(share) for name, share in SHARES.items()}
    times_ms = {"min": entry.min_response_time, **quantiles, "max": entry.max_response_time}
    return {
        "type": entry.method,
        "name": entry.name,
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "per_s": entry.total_rps,
        "latency_s": {name: ms / 1000 for name, ms in times_ms.items()},
    }


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    """Set time 0 of the test, in each process that has users."""
    if isinstance(environment.runner, MasterRunner):
        return
    NodeUser.fleet = None
    try:
        NodeUser.fleet = Fleet(chosen(environment.parsed_options), max(environment.runner.worker_index, 0))
    except SimulatorError as error:  # the web page can ask for an unknown scenario
        log.error("%s", error)
    NodeUser.origin_s = time.monotonic()


def address_of(host: str) -> str:
    """Return HOST:PORT from --host, which Locust users write as a web address."""
    return host.removeprefix("http://").rstrip("/")


def chosen(options: Any) -> Scenario:
    """Return the scenario that the options choose."""
    return load_scenario(options.scenario, [f"seed={options.seed}"] if options.seed else [])


def compile_loops() -> None:
    """Compile the model before a test starts, and before a master could miss its worker."""
    fleet = Fleet(load_scenario("lan"))
    nothing_is_due: Any = None
    Node(fleet.take(), fleet.scenario.nodes, time.monotonic() + 1.0, nothing_is_due, nothing_is_due).step()


compile_loops()
# gevent's clock stood still meanwhile: without this, -t counts from before the import and the compilation.
gevent.get_hub().loop.update_now()
