"""The agent's assignments: the newest known set, on disk, so that a restart without the control plane goes on."""

import logging
from pathlib import Path

from pydantic import ValidationError

from streamswarm_agent.statefile import write_state
from streamswarm_core.assignment import AssignmentSet

log = logging.getLogger(__name__)


class AssignmentStore:
    """Keeps the newest set of one agent.

    Args:
        path: where it is kept.
        agent_id: whose set it is; one of another agent is not used.
    """

    def __init__(self, path: Path, agent_id: str) -> None:
        self._path = path
        self._agent_id = agent_id
        self._current = self._load() or AssignmentSet(agent_id=agent_id, version=0)

    @property
    def current(self) -> AssignmentSet:
        """The newest set; empty with version 0 before there was one."""
        return self._current

    def take(self, fresh: AssignmentSet) -> bool:
        """Keep a set that is newer than the current one; says whether it was. It is in force on a full disk too."""
        if fresh.agent_id != self._agent_id or fresh.version <= self._current.version:
            log.warning(
                "an assignment set of version %d was not taken; version %d is known",
                fresh.version,
                self._current.version,
            )
            return False
        self._current = fresh
        try:
            write_state(self._path, fresh.model_dump_json())
        except OSError as error:
            log.error(  # noqa: TRY400 - the reason is enough
                "%s: %s; a restart without the control plane would begin with older assignments",
                self._path,
                error.strerror,
            )
        return True

    def _load(self) -> AssignmentSet | None:
        try:
            stored = AssignmentSet.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("%s can't be read and is not used: %s", self._path, error)
            return None
        return stored if stored.agent_id == self._agent_id else None
