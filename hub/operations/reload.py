"""New settings without a restart: on SIGHUP, or when the env file changed.

What is in LIVE is used from then on, and no stream ends; what is not needs a restart, and the log says so. A file that
is wrong changes nothing and is one line in the log. The file is looked at every LOOK_S and read once it has stayed the
same for that long: an editor may be writing it. The environment of a process cannot change, so a variable set there
keeps its value whatever the file says.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from heartbench.hub.config import POLICY_FIELDS, HubSettings
from heartbench.hub.envfile import env_name, env_value
from heartbench.hub.errors import HubError
from heartbench.hub.security.files import FileState, state_of

LOOK_S = 2.0

LIVE = frozenset(
    (
        *POLICY_FIELDS,
        *("forget_after", "admit_per_s", "max_nodes", "hello_within_s", "uploads_per_node", "acks_waiting"),
        *("drain_s", "summary_interval_s", "log_level"),
    )
)
"""Settings that a running hub takes over. The policy is not among them while HUB_OBSERVE_FILE is set: that file states
the policy once, and its changes are checked against it."""

Adopt = Callable[[HubSettings], None]

log = structlog.get_logger()


def merged(running: HubSettings, wanted: HubSettings) -> tuple[HubSettings, list[str], list[str]]:
    """Return the settings to go on with, which settings that changes, and which differ and need a restart.

    Raises HubError if the new values contradict those that stay.
    """
    fixed = POLICY_FIELDS if running.observe_file else ()
    differing = [name for name in HubSettings.model_fields if getattr(running, name) != getattr(wanted, name)]
    live = [name for name in differing if name in LIVE and name not in fixed]
    pending = [name for name in differing if name not in live]
    return running.changed(**{name: getattr(wanted, name) for name in live}), live, pending


class Reloader:
    """Watches one env file. `adopt` is called with new settings, on the event loop that runs `run`."""

    def __init__(self, env: Path, settings: HubSettings, *adopt: Adopt) -> None:
        self.settings = settings
        self._env = env
        self._adopt = adopt
        self._asked = asyncio.Event()
        self._used: FileState = None  # so it is read once more: it may have changed while the hub started

    def ask(self) -> None:
        """Reload as soon as possible, even if the file is the same."""
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever it is asked for or the file changed, until cancelled."""
        before = self._used
        while True:
            asked = await self._asked_within(LOOK_S)
            now = await asyncio.to_thread(state_of, self._env)
            settled = now == before
            if asked or (settled and now != self._used):
                self._used = now
                await self.reload(asked=asked)
            before = now

    async def reload(self, *, asked: bool) -> None:
        """Read the file and use what can be used; it is in the log if it is another setting or was asked for."""
        try:
            wanted = await asyncio.to_thread(HubSettings.load, self._env)
            settings, live, pending = merged(self.settings, wanted)
        except HubError as error:
            log.error("settings not reloaded", error=str(error))
            return
        if not (asked or live or pending):
            return
        changed = [f"{env_name(name)}={env_value(getattr(settings, name))}" for name in live]
        names = [env_name(name) for name in pending]  # not their values: a store's URL may hold a password
        # First, because what is adopted may be that such lines are not logged.
        log.info("settings reloaded", changed=" ".join(changed), need_restart=" ".join(names))
        self.settings = settings
        for adopt in self._adopt:
            adopt(settings)

    async def _asked_within(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True
