"""What a host is, in words; they change with an upgrade or a reboot."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from streamswarm_agent.host.files import PROC, SYS, read_lines, read_text

_ETC: Final = Path("/etc")


def read_boot_id(proc: Path = PROC) -> str:
    """A random text that the kernel makes when it boots; empty if unknown."""
    return read_text(proc / "sys/kernel/random/boot_id") or ""


def read_facts(proc: Path = PROC, sys: Path = SYS, etc: Path = _ETC) -> Mapping[str, str]:
    """The fields of HOST_FACTS that are known."""
    release = dict(line.split("=", 1) for line in read_lines(etc / "os-release") if "=" in line)
    models = (line.partition(":")[2].strip() for line in read_lines(proc / "cpuinfo") if line.startswith("model name"))
    facts = {
        "boot_id": read_boot_id(proc),
        "hostname": read_text(proc / "sys/kernel/hostname"),
        "system": release.get("PRETTY_NAME", "").strip("\"'"),
        "kernel": read_text(proc / "sys/kernel/osrelease"),
        "machine": platform.machine(),
        "processor": next(models, None),
        "vendor": read_text(sys / "class/dmi/id/sys_vendor"),
        "product": read_text(sys / "class/dmi/id/product_name"),
    }
    return {name: text for name, text in facts.items() if text}
