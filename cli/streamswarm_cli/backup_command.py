from pathlib import Path
from typing import Annotated

import typer

from streamswarm_cli.backup.archive import read_archive
from streamswarm_cli.backup.making import make_backup
from streamswarm_cli.backup.restoring import restore_backup
from streamswarm_core.errors import ConfigError
from streamswarm_core.settings import ServiceSettings


class _BackupSettings(ServiceSettings, table="backup"):
    """Where the data folder is, without any service's package."""


def backup(
    out: Annotated[Path, typer.Argument(help="Archive to write; one that is there is replaced. `.gz` is packed.")],
    *,
    without_points: Annotated[
        bool, typer.Option("--without-points", help="Leave out the collector's points: settings, users and tests only.")
    ] = False,
) -> None:
    """Write all of the data folder into one archive.

    The services may run meanwhile.

    It holds keys and tokens: keep it where only administrators can read it.
    """
    data = _BackupSettings.load().data
    try:
        size = make_backup(data, out, points=not without_points)
    except OSError as error:
        raise ConfigError(f"{error.filename or out}: {error.strerror or error}; there is no backup") from None
    typer.echo(f"{data}: {size:,} bytes in {out}; take it back with: streamswarm restore {out}")


def restore(
    archive: Annotated[Path, typer.Argument(help="What `streamswarm backup` wrote.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only look whether the archive is whole.")] = False,
) -> None:
    """Bring a backup into an empty data folder.

    The services have to be stopped.

    A control plane whose settings name a PostgreSQL gets its rows there, whatever it had before; a backup of an older
    version is brought up to date when the services start.
    """
    data = _BackupSettings.load().data
    try:
        about = read_archive(archive, None) if check else restore_backup(archive, data)
    except OSError as error:
        raise ConfigError(f"{error.filename or archive}: {error.strerror or error}; nothing was restored") from None
    made = f"made by StreamSwarm {about.version} at {about.made_at}"
    typer.echo(f"{archive}: whole, {made}" if check else f"{archive}, {made}, is in {data}; start the services")
