"""Brings a backup into an empty data folder, whole or not at all."""

import shutil
from pathlib import Path
from typing import Any, Final

from streamswarm_cli.backup.archive import About, read_archive
from streamswarm_cli.backup.making import DATABASE
from streamswarm_cli.services import CONTROLPLANE
from streamswarm_core.errors import ConfigError

_UNPACKING: Final = ".restoring"
_HARMLESS: Final = frozenset({_UNPACKING, "lost+found"})


def restore_backup(archive: Path, data: Path) -> About:
    """Read an archive, check it, and put its files into place.

    Returns:
        What the archive says of itself.

    Raises:
        ConfigError: the archive is damaged or too new, or something is in the folder or database already.
        OSError: a file can't be read or written.
    """
    if data.exists() and (there := sorted(one.name for one in data.iterdir() if one.name not in _HARMLESS)):
        raise ConfigError(
            f"data folder {data}: {', '.join(there[:5])} {'are' if there[1:] else 'is'} there; stop the services and "
            "move it away, or name another with STREAMSWARM_DATA"
        )
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    unpacked = data / _UNPACKING
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        unpacked.mkdir(mode=0o700)
        about = read_archive(archive, unpacked)
        if (unpacked / DATABASE).exists():
            _place_database(unpacked / DATABASE, data)
        for part in sorted(unpacked.iterdir()):
            part.rename(data / part.name)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return about


def _place_database(copy: Path, data: Path) -> None:
    """Bring the control plane's database where its settings say that it is.

    Raises:
        ConfigError: a newer program made it, or the place isn't empty.
    """
    settings: Any = CONTROLPLANE.load_settings()
    db, schema = CONTROLPLANE.module("db"), CONTROLPLANE.module("schema")
    source = db.connect(f"sqlite:///{copy.absolute()}")
    try:
        schema.revisions(source)
        target = db.connect(settings.database)
        try:
            if target.dialect.name == "sqlite":
                place = Path(target.url.database or "")
                if place.absolute() == (data / DATABASE).absolute():
                    return
                if place.exists():
                    raise ConfigError(f"database {place}: is there already; move it away")
                shutil.copyfile(copy, place)
            else:
                schema.migrate(source)
                CONTROLPLANE.module("copying").copy_database(source, target)
        finally:
            target.dispose()
    finally:
        source.dispose()
    copy.unlink()
