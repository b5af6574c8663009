import asyncio

from streamswarm_agent.enrol import enrol, load_credential
from streamswarm_agent.runner import Runner
from streamswarm_agent.settings import AgentSettings
from streamswarm_core import log
from streamswarm_core.errors import ConfigError
from streamswarm_core.serve import check_address


def run(settings: AgentSettings) -> None:
    """Run the agent until SIGINT or SIGTERM.

    Raises:
        ConfigError: it isn't enrolled, or the address or the data folder can't be used.
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

    async def main() -> None:
        try:
            runner = Runner(settings, credential)
        except OSError as error:
            raise ConfigError(f"{settings.folder}: {error.strerror}; choose another with STREAMSWARM_DATA") from None
        await runner.run()

    asyncio.run(main())
