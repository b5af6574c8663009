"""Errors that ECC memory corrected or couldn't: /sys/devices/system/edac/mc (Documentation/admin-guide/RAS)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streamswarm_agent.host.files import SYS, list_folder, points_of, read_int, read_text
from streamswarm_agent.host.growth import Growth
from streamswarm_core.catalogue.host_hardware import HOST_ECC
from streamswarm_core.point import Point

MOST_MODULES: Final = 64


def ecc_points(growth: Growth, sys: Path = SYS) -> Iterator[Point]:
    """HOST_ECC: one for each memory controller, and one for each of its modules."""
    for controller in list_folder(sys / "devices/system/edac/mc", "mc[0-9]*"):
        tags = {"controller": controller.name}
        yield from _errors(growth, tags, controller / "ce_count", controller / "ue_count")
        modules = [*list_folder(controller, "dimm[0-9]*"), *list_folder(controller, "rank[0-9]*")]
        for module in modules[:MOST_MODULES]:
            # Labels come from a table of mainboards, and may repeat where there is none.
            label = " ".join(filter(None, [module.name, read_text(module / "dimm_label")]))
            counts = module / "dimm_ce_count", module / "dimm_ue_count"
            yield from _errors(growth, {**tags, "module": label}, *counts)


def _errors(growth: Growth, tags: dict[str, str], corrected: Path, uncorrected: Path) -> Iterator[Point]:
    counts = {"corrected": read_int(corrected), "uncorrected": read_int(uncorrected)}
    key = tuple(tags.values())
    rates = {f"{name}_rate": growth.rate((*key, name), count) for name, count in counts.items()}
    yield from points_of(HOST_ECC, tags, {**counts, **rates})
