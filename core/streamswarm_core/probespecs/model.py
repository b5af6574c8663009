import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
    StringConstraints,
)

from streamswarm_core.catalogue.model import Measurement
from streamswarm_core.patterns import check_pattern
from streamswarm_core.probespecs.demand import SHORT_EXCHANGE, Lane, Need, RunCost
from streamswarm_core.probespecs.targets import read_host

Host = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=253), AfterValidator(read_host)]
"""A host name or an IP address."""


def listed(written: object) -> object:
    """A list, also from text with commas, as one types it after `-o classes=`.

    >>> listed("EF, AF41"), listed(["EF"])
    (['EF', 'AF41'], ['EF'])
    """
    return [part.strip() for part in written.split(",") if part.strip()] if isinstance(written, str) else written


Pattern = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(check_pattern)]
"""A regular expression, searched for anywhere in a text."""

InterfacePattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""Names of interfaces; * and ? stand for anything."""

FilePath = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^/")]
"""An absolute path on the agent's host."""


def check_certificate(certificate_file: str | None, key_file: str | None) -> None:
    """Hold the two files of an agent's own certificate against each other.

    Raises:
        ValueError: one is given without the other.
    """
    if bool(certificate_file) != bool(key_file):
        raise ValueError("certificate_file and certificate_key_file go together")


REVEAL: Final = {"reveal": True}
"""The serialization context in which secrets are written as they are: for the store, and for the agent."""
_ENDING_SECONDS: Final = 0.1
"""A run ends by its own account so long before it would be given up."""


def _write_secret(secret: SecretStr, info: SerializationInfo[Any]) -> str:
    return secret.get_secret_value() if (info.context or {}).get("reveal") else str(secret)


Secret = Annotated[SecretStr, PlainSerializer(_write_secret, return_type=str, when_used="json")]
"""A password or token; written as asterisks except with REVEAL."""


class Family(StrEnum):
    """Which IP version to use."""

    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


def family_of(written: str) -> Family:
    """The IP version of an address that is written out; ANY for what is none.

    >>> [family_of(one).value for one in ("192.0.2.1", "2001:db8::1", "eth0")]
    ['ipv4', 'ipv6', 'any']
    """
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return Family.ANY
    return Family.IPV6 if address.version == 6 else Family.IPV4


class ProbeParams(BaseModel):
    """Base of every probe's options: closed, bounded, never changed once made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def within(self, _seconds: float) -> Self:
        """The same for a run that has to end within so many seconds, where it can give up replies and still measure."""
        return self


def wait_within(seconds: float, sending: float, wait: float) -> float:
    """How long to wait for the last reply, so that what is lost counts as lost and not the whole run as given up.

    >>> wait_within(10, 0.6, 1.0), round(wait_within(1.5, 0.6, 1.0), 3), wait_within(0.5, 0.6, 1.0)
    (1.0, 0.8, 1.0)
    """
    spare = seconds - sending - _ENDING_SECONDS
    return min(wait, spare) if spare > 0 else wait


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One probe as the control plane sees it.

    Attributes:
        name: as in an assignment.
        title: as in the console.
        help: what it measures, one sentence.
        params: the options model; its JSON Schema makes the forms.
        measurements: what it writes; the first is the one that says whether the target is up.
        example_target: a target that shows the form; empty for a probe that has none.
        headline: the field of the first measurement that a table shows when it has room for one.
        timeout: seconds a run may take unless the test says otherwise.
        read_target: raises a ValueError for a target that isn't of the form the probe takes; any text is, if not given.
        lane: with which other runs it shares a limit.
        cost: what a run with these options puts on the link.
        needs: what it asks of the host.
        lasts: seconds that a run of these options takes by their account, apart from a moment; a bandwidth test waits
            for the long ones, and needs the link to itself for its own.
    """

    name: str
    title: str
    help: str
    params: type[ProbeParams]
    measurements: tuple[Measurement, ...]
    example_target: str
    headline: str
    timeout: float
    read_target: Callable[[str], object] = str
    lane: Lane = Lane.SOCKET
    cost: Callable[[Any], RunCost] = lambda _: SHORT_EXCHANGE
    needs: tuple[Need, ...] = ()
    lasts: Callable[[Any], float] = lambda _: 0.0

    @property
    def has_target(self) -> bool:
        """Whether the probe measures something other than the agent's own host."""
        return bool(self.example_target)
