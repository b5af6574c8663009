"""Errors that a person can act on: each message says what is wrong, where, and what would be accepted."""

from streamswarm_core.masking import masked


class StreamSwarmError(Exception):
    """Base of every error StreamSwarm raises on purpose; the CLI prints it as one line and exits with 2."""

    def __init__(self, message: object = "") -> None:
        super().__init__(masked(str(message)))


class ConfigError(StreamSwarmError):
    """A setting is missing or can't be used; the message names the key and what it takes."""


class NotYetError(ConfigError):
    """What a service needs can't be reached now; started again later, it may work with the same settings."""


class CatalogueError(StreamSwarmError):
    """A measurement, tag or field that the catalogue doesn't declare, or a value of the wrong kind."""


class LineError(StreamSwarmError):
    """A line of line protocol that can't be read.

    Attributes:
        reason: why, in InfluxDB's words where it has them.
        line: the offending text, shortened for display.
    """

    def __init__(self, reason: str, line: str = "") -> None:
        self.reason = reason
        self.line = line if len(line) <= 120 else line[:117] + "..."
        super().__init__(f"unable to parse '{self.line}': {reason}" if line else reason)


class TokenError(StreamSwarmError):
    """A credential that is malformed, expired, revoked or signed by nobody we know."""


class ScopeError(TokenError):
    """A good credential that doesn't reach this far; another request of its bearer's may be answered."""


class Unavailable(StreamSwarmError):  # noqa: N818 - a state of the peer, named as such
    """A peer can't be reached or is overloaded; the same request may succeed later.

    Attributes:
        retry_after: seconds the peer asked us to wait, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Refused(StreamSwarmError):  # noqa: N818 - what the peer did
    """A peer answered and will give the same answer again; sending it once more is useless.

    Attributes:
        status: the peer's HTTP status code.
    """

    def __init__(self, message: str, *, status: int) -> None:
        self.status = status
        super().__init__(message)
