"""Small files in which the agent keeps its state: always whole, and for their owner only."""

import contextlib
from pathlib import Path


def write_state(path: Path, content: str) -> None:
    """Replace a file's content, so that a reader finds the old or the new one; a folder that was deleted is made anew.

    Raises:
        OSError: it can't be written; the old file stays, and nothing else.
    """
    temporary = path.with_suffix(".new")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        temporary.touch(0o600)
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
