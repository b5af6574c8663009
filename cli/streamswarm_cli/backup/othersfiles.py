"""Files of others, as root reads them: the services that own them may put anything there, also meanwhile."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

_NONE_OF_OURS: Final = {errno.ELOOP, errno.ENOENT, errno.ENXIO}
"""What opening says of a link, of what has gone, and of a socket."""


def plain_files(folder: Path, is_left_out: Callable[[str], bool] = lambda _: False) -> Iterator[tuple[str, IO[bytes]]]:
    """The plain files below a folder with their names in it; each is open until the next is asked for.

    No link is followed, nor is the folder one: where one leads, root would go, too.

    Raises:
        OSError: one can't be read.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    with _closing(descriptor):
        yield from _files_in(descriptor, folder, "", is_left_out)


def _files_in(
    folder: int, top: Path, begin: str, is_left_out: Callable[[str], bool]
) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in sorted(os.listdir(folder)):
        name = begin + entry
        if is_left_out(name):
            continue
        try:
            # A pipe that nobody writes to would be waited for.
            descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError as error:
            if error.errno in _NONE_OF_OURS:
                continue
            raise OSError(error.errno, error.strerror, str(top / name)) from None
        with _closing(descriptor):
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                yield from _files_in(descriptor, top, f"{name}/", is_left_out)
            elif stat.S_ISREG(mode):
                with open(descriptor, "rb", closefd=False) as file:
                    yield name, file


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def acting_as_owner(folder: Path) -> Iterator[None]:
    """Let root do what is done here with no more rights than the folder's owner has."""
    owner = max((folder.lstat(), folder.stat()), key=lambda one: one.st_uid)
    if os.geteuid() or not owner.st_uid:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        os.setgroups([owner.st_gid])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
