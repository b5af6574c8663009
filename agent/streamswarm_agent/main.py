import asyncio
import gc
import sys
from importlib.util import find_spec
from typing import Final

from streamswarm_agent.enrol import Credential, enrol, load_credential
from streamswarm_agent.runner import Runner
from streamswarm_agent.settings import AgentSettings
from streamswarm_core import log
from streamswarm_core.alone import alone
from streamswarm_core.errors import ConfigError
from streamswarm_core.serve import check_address

_TAKEN: Final = "another agent runs on this folder; give this one its own with STREAMSWARM_DATA, and enrol it"
RESTART_EXIT_CODE: Final = 75
"""EX_TEMPFAIL of sysexits.h: it is to be started again."""


def run(settings: AgentSettings) -> None:
    """Run the agent until SIGINT or SIGTERM, or until the control plane wants a restart.

    Raises:
        SystemExit: with RESTART_EXIT_CODE for a restart; whatever watches over the agent starts it again.
        ConfigError: it isn't enrolled, or the address or the data folder can't be used, or another agent uses it.
    """
    check_address(settings.host, settings.port, AgentSettings)
    log.configure("agent", level=settings.log_level, style=settings.log_format)
    credential = load_credential(settings)
    if credential is None:
        token = settings.enrol_token.get_secret_value()
        if not token:
            raise ConfigError(
                "this agent is not enrolled: make a token in the console under Agents, then run "
                "streamswarm agent enrol --url URL --token TOKEN"
            )
        credential = enrol(settings, token=token)
    # Two agents on one folder would give run numbers twice and delete each other's points.
    with alone(settings.folder, _TAKEN):
        restart = _run(settings, credential)
    if restart:
        raise SystemExit(RESTART_EXIT_CODE)


def _run(settings: AgentSettings, credential: Credential) -> bool:
    """Run the agent to its end; returns whether it is to be started again."""
    if find_spec("sniffio") is None:
        # httpcore looks for it several times a request, each time through all folders, which took a twentieth of the
        # time of an agent with a hundred targets. Python's way to say that a module is not there:
        sys.modules["sniffio"] = None  # type: ignore[assignment]

    # The modules and the assignments stay as long as the agent does; looking through them for garbage at the default
    # pace took a fifth of the time of an agent with thousands of targets.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)

    async def main() -> bool:
        try:
            runner = Runner(settings, credential)
        except OSError as error:
            where = error.filename or settings.folder
            raise ConfigError(f"{where}: {error.strerror}; choose another folder with STREAMSWARM_DATA") from None
        await runner.run()
        return runner.restart_wanted

    return asyncio.run(main())
