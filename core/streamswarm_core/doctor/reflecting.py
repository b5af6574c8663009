"""The reflector of an agent or a collector, which goes on without one when its port is taken."""

from collections.abc import Iterator
from typing import Final

from pydantic import SecretStr

from streamswarm_core.doctor.asking import UnansweredError, ask
from streamswarm_core.doctor.finding import Finding, ok, warning
from streamswarm_core.doctor.listeners import listener_on
from streamswarm_core.hostport import host_port
from streamswarm_core.reflector.settings import ReflectorSettings

_DOWN: Final = 'streamswarm_reflector_up{kind="stamp"} 0.0'


def reflector(settings: ReflectorSettings, url: str, table: str, token: SecretStr) -> Iterator[Finding]:
    """Whether a running service reflects.

    Args:
        settings: the service's.
        url: where the service answers.
        table: of its settings.
        token: that its `/metrics` asks for.
    """
    if not settings.reflector:
        return
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token.get_secret_value() else {}
    where = host_port(settings.reflector_host, settings.reflector_port)
    try:
        down = _DOWN in ask(f"{url}/metrics", headers=headers).text
    except UnansweredError:
        return
    if not down:
        yield ok("reflector", f"reflects on {where}")
        return
    holder = listener_on(settings.reflector_port)
    found = f"doesn't reflect on {where}: another program has the port{f', {holder}' if holder else ''}"
    yield warning("reflector", found, f"stop that and restart this, or set STREAMSWARM_{table.upper()}_REFLECTOR_PORT")
