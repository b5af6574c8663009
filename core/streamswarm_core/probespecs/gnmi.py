from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from streamswarm_core.catalogue.device import DEVICE, DEVICE_INTERFACE, DEVICE_VALUE, GNMI
from streamswarm_core.gnmipath import parse_path
from streamswarm_core.probespecs.demand import RunCost, package
from streamswarm_core.probespecs.model import (
    Family,
    FilePath,
    Host,
    InterfacePattern,
    ProbeParams,
    ProbeSpec,
    check_certificate,
    listed,
)

DEFAULT_PORT: Final = 9339
"""Assigned to gNMI by IANA."""

PathGroup = Literal["interfaces", "system", "components"]


def _check_path(path: str) -> str:
    if not parse_path(path).elements:
        raise ValueError("names nothing; takes a path such as /system/processes/process[pid=1]/state/uptime")
    return path


def _written_out(given: object) -> object:
    """A bare path is short for one that is no counter."""
    return {"path": given} if isinstance(given, str) else given


LeafName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class GnmiLeaf(ProbeParams):
    """A path to ask for beside the groups, whose value is a number."""

    path: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_check_path)] = Field(
        description="Such as /components/component[name=*]/fan/state/speed; [key=*] is every entry of a list.",
    )
    counter: bool = Field(False, description="Whether it is a counter, of which the growth per second is wanted.")
    scale: float = Field(1.0, ge=-1e12, le=1e12, description="What the value is multiplied by.")


class GnmiParams(ProbeParams):
    """Options of the `gnmi` probe; the target is `host`, `host:port` or `[IPv6]:port`."""

    groups: Annotated[tuple[PathGroup, ...], BeforeValidator(listed)] = Field(
        ("interfaces", "system", "components"),
        description="OpenConfig paths to ask for: interfaces; processor, memory and start of the system; temperature, "
        "processor and memory of components.",
    )
    leaves: dict[LeafName, Annotated[GnmiLeaf, BeforeValidator(_written_out)]] = Field(
        default_factory=dict,
        max_length=64,
        description="Further paths, each by a name: a path, or path, counter and scale.",
    )
    require_all: bool = Field(False, description="Whether a path that isn't answered counts as down.")
    interfaces: Annotated[tuple[InterfacePattern, ...], BeforeValidator(listed)] = Field(
        ("*",), min_length=1, max_length=64, description="Names of interfaces to write; * and ? stand for anything."
    )
    skip_interfaces: Annotated[tuple[InterfacePattern, ...], BeforeValidator(listed)] = Field(
        (), max_length=64, description="Names of interfaces to leave out, as above."
    )
    max_interfaces: int = Field(
        128, ge=1, le=4096, description="Interfaces to write at most, in the order of their names; the rest is counted."
    )
    username: str = Field("", max_length=255, pattern=r"^[\x21-\x7e]*$", description="The user to log in as.")
    key: str = Field(
        "", max_length=63, description="Name of the agent's key (its setting keys) that is this user's password."
    )
    insecure: bool = Field(False, description="Whether to do without TLS: what is sent, passwords too, can be read.")
    verify_tls: bool = Field(
        True, description="Whether to verify the device's certificate; if not, whatever it shows is trusted."
    )
    server_name: Host | None = Field(None, description="Name to ask for and to verify; the target's if not given.")
    ca_file: FilePath | None = Field(None, description="Authorities to trust, a PEM file on the agent's host.")
    certificate_file: FilePath | None = Field(
        None, description="The agent's certificate with its chain, a PEM file on its host."
    )
    certificate_key_file: FilePath | None = Field(
        None, description="Private key of the agent's certificate, a PEM file on its host."
    )
    encoding: Literal["json_ietf", "json", "proto"] = Field(
        "json_ietf", description="Encoding to ask for; a device that lacks it is asked for another of these."
    )
    origin: str = Field(
        "", max_length=63, pattern=r"^[A-Za-z0-9._-]*$", description="Origin of the groups' paths, such as openconfig."
    )
    prefix_target: str = Field(
        "", max_length=255, description="Target in the prefix of a request, for devices and gateways that want one."
    )
    wait: float = Field(10.0, gt=0, le=120, description="Seconds for each step: connecting, and answering.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if not self.groups and not self.leaves:
            raise ValueError("asks for nothing: give groups, leaves, or both")
        if bool(self.username) != bool(self.key):
            raise ValueError("username and key go together: the key is the agent's name for that user's password")
        check_certificate(self.certificate_file, self.certificate_key_file)
        if self.insecure and (self.ca_file or self.certificate_file or self.server_name):
            raise ValueError("insecure does without TLS, so it takes no ca_file, certificate_file or server_name")
        return self


_BYTES_OF_AN_INTERFACE: Final = 2_000
_SEGMENT: Final = 1_448


def _cost(params: GnmiParams) -> RunCost:
    interfaces = params.max_interfaces if "interfaces" in params.groups else 0
    size = 10_000 + interfaces * _BYTES_OF_AN_INTERFACE + 500 * len(params.leaves)
    # Every second segment of the answer is acknowledged.
    return RunCost(10 + size / _SEGMENT / 2, size)


GNMI_SPEC: Final = ProbeSpec(
    name="gnmi",
    title="Network device (gNMI)",
    help="Interfaces, processor, memory and temperature of a router or switch, and any other number that it has.",
    params=GnmiParams,
    measurements=(GNMI, DEVICE_INTERFACE, DEVICE, DEVICE_VALUE),
    example_target="192.0.2.1:9339",
    headline="response",
    timeout=45.0,
    cost=_cost,
    # Optional, because an agent without such tests lacks nothing.
    needs=(package("pygnmi", "streamswarm[gnmi]", "asking network devices", optional=True),),
)
