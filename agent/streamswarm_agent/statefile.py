"""Small files in which the agent keeps its state."""

from pathlib import Path

from streamswarm_core.ownfiles import write_whole


def write_state(path: Path, content: str) -> None:
    """Replace a file's content; a folder that was deleted is made anew.

    It isn't waited for the disk: this is done every few seconds, and who reads copes with what a power cut has spoilt.

    Raises:
        OSError: it can't be written; the old file stays.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, content.encode(), durable=False)
