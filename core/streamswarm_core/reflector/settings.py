import ipaddress
from typing import Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from streamswarm_core.settings import is_loopback
from streamswarm_core.wire.stamp import DEFAULT_PORT


class ReflectorSettings(BaseModel):
    """What agents and collectors have to know to be reflectors; mixed into their settings."""

    reflector: bool = Field(True, description="Whether this is a reflector for the probes stamp and bandwidth.")
    reflector_host: str = Field("127.0.0.1", description="Address to reflect on; :: is all of IPv4 and IPv6.")
    reflector_port: int = Field(DEFAULT_PORT, ge=1, le=65_535, description="UDP (stamp) and TCP (bandwidth) port.")
    reflector_key: SecretStr = Field(
        SecretStr(""),
        description="Shared secret; with it only authenticated probes are answered. Bandwidth tests from other hosts "
        "need it.",
    )
    reflector_peers: tuple[str, ...] = Field(
        (), description="Networks that may ask, such as 192.0.2.0/24; all if none is given."
    )
    reflector_source_rate: float = Field(
        1_000, ge=1, le=1e6, description="Packets a second that are reflected to one address."
    )
    reflector_rate: float = Field(10_000, ge=1, le=1e6, description="Packets a second that are reflected in all.")
    reflector_tests: int = Field(1, ge=0, le=16, description="Bandwidth tests at the same time; 0 refuses all.")
    reflector_test_bytes: int = Field(
        500_000_000, ge=1_000, description="Bytes of one bandwidth test, both directions together."
    )
    reflector_test_seconds: float = Field(30, ge=1, le=300, description="Seconds of each direction of one test.")

    @field_validator("reflector_peers")
    @classmethod
    def _networks(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        for peer in peers:
            try:
                ipaddress.ip_network(peer, strict=False)
            except ValueError:
                raise ValueError(f"{peer!r} is no network such as 192.0.2.0/24 or 2001:db8::/32") from None
        return peers

    @model_validator(mode="after")
    def _not_for_strangers(self) -> Self:
        open_to_all = not self.reflector_key.get_secret_value() and not self.reflector_peers
        if self.reflector and open_to_all and not is_loopback(self.reflector_host):
            raise ValueError(
                f"reflector_host={self.reflector_host} can be reached by strangers: give reflector_key or "
                "reflector_peers too, or reflector=false"
            )
        return self
