import re
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from streamswarm_core.reflector.settings import ReflectorSettings
from streamswarm_core.settings import ServiceSettings

_LONGEST_NAME: Final = 63
"""A host's own name may have one more."""


def default_name() -> str:
    """The host's name, reduced to what an agent's name may hold."""
    usable = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname().split(".")[0]).strip("-._")
    return usable[:_LONGEST_NAME] or "agent"


class AgentSettings(ReflectorSettings, ServiceSettings, table="agent"):
    """Settings of the agent."""

    name: str = Field(
        default_factory=default_name,
        pattern=rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{_LONGEST_NAME - 1}}}$",
        description="The agent's name, its `agent` tag; the host name if not given.",
    )
    site: str = Field("", max_length=63, description="The agent's `site` tag, where the enrolment token has none.")
    controlplane_url: str = Field("http://127.0.0.1:8800", description="Where assignments come from.")
    collector_url: str = Field("http://127.0.0.1:8801", description="Where points are sent.")
    bucket: str = Field("streamswarm", min_length=1, description="Database that points are written to.")
    enrol_token: SecretStr = Field(SecretStr(""), description="One-time token, used at the first start only.")
    host: str = Field("127.0.0.1", description="Address of the Prometheus exporter.")
    port: int = Field(8803, ge=1, le=65_535, description="Port of the Prometheus exporter.")
    probe_token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token that /probe asks for; needed unless the exporter's address is loopback.",
    )
    blackbox_file: Path | None = Field(
        None, description="File with modules for /probe, in blackbox_exporter's format (docs/blackbox.md)."
    )
    heartbeat_seconds: float = Field(10, ge=1, le=60, description="Seconds between two heartbeats.")
    poll_seconds: float = Field(5, ge=0.5, le=300, description="Seconds between two looks for new assignments.")
    flush_seconds: float = Field(
        1, ge=0.1, le=60, description="Seconds that points are collected before they are sent."
    )
    spool_max_bytes: int = Field(
        256_000_000, ge=1_000_000, description="Disk space for points that can't be sent; then the oldest are dropped."
    )
    geo_asn_file: Path | None = Field(
        None, description="MaxMind-format file with autonomous systems, such as GeoLite2-ASN.mmdb, for traceroute."
    )
    geo_city_file: Path | None = Field(
        None, description="MaxMind-format file with places, such as GeoLite2-City.mmdb, for traceroute."
    )
    reflector_port: int = Field(
        8621, ge=1, le=65_535, description="UDP (stamp) and TCP (bandwidth) port; a collector's is 8620."
    )
    keys: dict[str, SecretStr] = Field(
        {},
        description="Secrets by the names that the option `key` of tests uses: keys of reflectors (stamp, bandwidth), "
        "passwords of network devices (gnmi).",
    )
    key_hosts: dict[str, tuple[str, ...]] = Field(
        {},
        description="Whom each key is for, by its name: networks, and patterns of hosts' names as targets write them. "
        "One that isn't here goes to whatever host a test names.",
        examples=[{"switches": ["10.0.0.0/8", "*.net.example"]}],
    )
    concurrency: int = Field(
        256,
        ge=1,
        le=10_000,
        description="Runs with sockets of their own (tcp, http, dns …) under way at the same time.",
    )
    tool_concurrency: int = Field(
        4, ge=1, le=64, description="Runs that start programs or block a thread, under way at the same time."
    )
    budget_packets_per_second: float = Field(
        2_000, ge=1, le=1_000_000, description="Packets per second that all assignments together may send."
    )
    budget_bits_per_second: float = Field(
        20e6, ge=1_000, le=1e12, description="Bits per second that all assignments together may put on the link."
    )
    uplink_bits_per_second: float | None = Field(
        None,
        ge=64_000,
        le=1e12,
        description="Speed of the slowest link that all targets share, mostly the site's uplink: pings of many targets "
        "are spaced so that they hardly queue there for one another. Five times the budget if not given.",
    )
    busy_share: float = Field(
        0.3, gt=0, le=1, description="Share of an interface's speed from which bandwidth tests wait for a quieter link."
    )
    busy_bits_per_second: float = Field(
        20e6, ge=1_000, description="The same in bits per second, for interfaces that don't state their speed."
    )

    @property
    def uplink(self) -> float:
        """Bits per second that pings are spaced for."""
        return self.uplink_bits_per_second or 5 * self.budget_bits_per_second

    @property
    def folder(self) -> Path:
        """The agent's part of the data folder."""
        return self.data / "agent"

    @field_validator("controlplane_url", "collector_url")
    @classmethod
    def _http_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or url.split() != [url]:
            raise ValueError("takes a URL that begins with http:// or https://, such as https://noc.example:8800")
        return url.rstrip("/")
