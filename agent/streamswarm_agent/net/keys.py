from collections.abc import Mapping

from pydantic import SecretStr

from streamswarm_agent.faults import Fault, ProbeFault


class Keys:
    """The secrets that this agent shares with reflectors.

    They stay on the agent: a test says only which one to use.

    Args:
        by_name: from the setting `keys`.
    """

    def __init__(self, by_name: Mapping[str, SecretStr] | None = None) -> None:
        self._by_name = by_name or {}

    def find(self, name: str) -> bytes:
        """The key of a name; nothing for an empty name.

        Raises:
            ProbeFault: the agent has no such key.
        """
        if not name:
            return b""
        if name not in self._by_name:
            known = ", ".join(self._by_name) or "none"
            raise ProbeFault(
                Fault.PERMISSION, f"this agent has no key {name!r}; its setting STREAMSWARM_AGENT_KEYS has: {known}"
            )
        return self._by_name[name].get_secret_value().encode()

    def close(self) -> None:
        """Nothing to let go of."""
