"""The modules that /probe knows: those built in, and those of a file in blackbox_exporter's format."""

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from streamswarm_agent.blackbox.config import ModuleConfig
from streamswarm_agent.blackbox.dns import DnsModule
from streamswarm_agent.blackbox.http import HttpModule
from streamswarm_agent.blackbox.icmp import IcmpModule
from streamswarm_agent.blackbox.running import Module
from streamswarm_agent.blackbox.tcp import TcpModule
from streamswarm_core.errors import ConfigError

log = logging.getLogger(__name__)

_QUERY: Final = {
    "query_name": "example.com",
    "query_type": "A",
    # In a network of its own the name may not exist; the server has answered all the same.
    "valid_rcodes": ["NOERROR", "NXDOMAIN"],
}
_BUILT_IN: Final[Mapping[str, Any]] = {
    "http_2xx": {"prober": "http"},
    "http_post_2xx": {"prober": "http", "http": {"method": "POST"}},
    "tcp_connect": {"prober": "tcp"},
    "tcp_connect_tls": {"prober": "tcp", "tcp": {"tls": True}},
    "tls_connect": {"prober": "tcp", "tcp": {"tls": True}},
    "ssh_banner": {"prober": "tcp", "tcp": {"query_response": [{"expect": "^SSH-2[.]0-"}]}},
    "icmp": {"prober": "icmp"},
    "dns": {"prober": "dns", "dns": _QUERY},
    "dns_udp": {"prober": "dns", "dns": _QUERY},
    "dns_tcp": {"prober": "dns", "dns": {**_QUERY, "transport_protocol": "tcp"}},
}
_MAKERS: Final[Mapping[str, Any]] = {"http": HttpModule, "tcp": TcpModule, "dns": DnsModule, "icmp": IcmpModule}


class Modules:
    """Modules by name.

    Attributes:
        known: those that can be run.
        refused: those of the file that can't, each with the reason.
    """

    def __init__(self, known: Mapping[str, Module], refused: Mapping[str, str] = MappingProxyType({})) -> None:
        self.known = known
        self.refused = refused

    def find(self, name: str) -> Module:
        """The module of a name.

        Raises:
            LookupError: there is none, or it can't be run; the message is for whoever asked.
        """
        if name in self.known:
            return self.known[name]
        if name in self.refused:
            raise LookupError(f"the module {name} can't be run: {self.refused[name]}")
        raise LookupError(f"unknown module {name!r}; one of {', '.join(self.known)}")


def load_modules(path: Path | None = None) -> Modules:
    """The built-in modules, and those of a file, which replace built-in ones of the same name.

    A module that asks for something we don't do is refused alone: the others of the file work.

    Raises:
        ConfigError: the file can't be read, or is none of blackbox_exporter's.
    """
    known, refused = dict(_BUILT_IN), {}
    made: dict[str, Module] = {}
    known |= _read(path) if path is not None else {}
    for name, given in known.items():
        try:
            made[name] = _make(given)
        except ValueError as error:
            refused[name] = _reason(error)
            log.warning("%s: the module %s is left out: %s", path, name, refused[name])
    return Modules(made, refused)


def _make(given: Any) -> Module:
    config = ModuleConfig.model_validate(given)
    module: Module = _MAKERS[config.prober](config)
    return module


def _read(path: Path) -> Mapping[str, Any]:
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError:
        raise ConfigError(f"{path}: reading it needs the package PyYAML: pip install pyyaml") from None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise ConfigError(f"{path} is no YAML: {error}") from None
    modules = content.get("modules") if isinstance(content, dict) else None
    if not isinstance(modules, dict) or set(content) != {"modules"}:
        raise ConfigError(f"{path}: takes one key, modules, with a module under each name, as blackbox_exporter's file")
    return {str(name): given for name, given in modules.items()}


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    what = "isn't known here" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
