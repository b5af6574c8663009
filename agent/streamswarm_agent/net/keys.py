import ipaddress
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from pydantic import SecretStr

from streamswarm_agent.faults import Fault, ProbeFault

ANY_HOST: Final = ("*",)


class Keys:
    """The secrets that this agent shares with reflectors, and its passwords for devices and telephones.

    They stay on the agent: a test says only which one to use. As a test also says with whom, this agent's owner can
    bind a key to hosts; otherwise whoever makes tests can have it shown to a host of their own.

    Args:
        by_name: from the setting `keys`.
        hosts: from the setting `key_hosts`: by the keys' names, networks and patterns of hosts' names.
    """

    def __init__(
        self, by_name: Mapping[str, SecretStr] | None = None, hosts: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._by_name = by_name or {}
        self._hosts = hosts or {}

    def find(self, name: str, host: str) -> bytes:
        """The key of a name; nothing for an empty name.

        Args:
            name: as a test gives it.
            host: the one that it is for, as the test's target names it.

        Raises:
            ProbeFault: the agent has no such key, or not for this host.
        """
        if not name:
            return b""
        if name not in self._by_name:
            raise ProbeFault(
                Fault.PERMISSION, f"this agent has no key {name!r}; see its setting STREAMSWARM_AGENT_KEYS"
            )
        if not any(matches(pattern, host) for pattern in self._hosts.get(name, ANY_HOST)):
            raise ProbeFault(
                Fault.PERMISSION,
                f"this agent's key {name!r} is not for {host}; its setting STREAMSWARM_AGENT_KEY_HOSTS says for whom",
            )
        return self._by_name[name].get_secret_value().encode()

    def close(self) -> None:
        """Nothing to let go of."""


def matches(pattern: str, host: str) -> bool:
    """Whether a host, as a target names it, is of a network, or has a name of a pattern.

    >>> matches("192.0.2.0/24", "192.0.2.7"), matches("*.net.example", "sw1.NET.example"), matches("10.0.0.0/8", "sw1")
    (True, True, False)
    """
    bare = host.strip("[]")
    try:
        return ipaddress.ip_address(bare.partition("%")[0]) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return fnmatchcase(bare.lower().rstrip("."), pattern.lower())
