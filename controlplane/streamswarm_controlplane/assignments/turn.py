from typing import Final

from sqlalchemy.orm import Session

from streamswarm_controlplane.db import lock_out_others

_KEY: Final = 7_317_042_993


def take_turn(db: Session) -> None:
    """Be the only one who changes what agents have to run, until the transaction ends.

    Which agents a selector matches and what an agent can bear is decided on rows that another such change is adding
    right now, and each change touches hundreds of agents: side by side they would miss one another, or wait for each
    other. SQLite's writers take turns anyway. To be called before any of the rows is locked.
    """
    lock_out_others(db, _KEY)
