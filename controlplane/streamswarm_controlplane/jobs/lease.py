"""A lease in the database: of several workers exactly one does a job, and another takes over when it dies.

Workers' clocks may differ: one that is fast takes a lease early, and the former holder learns it at its next `hold`.
So a job renews the lease in the very transaction that it writes in; then two never write for the same round.
"""

import os
import secrets
import socket
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from streamswarm_controlplane.jobs.models import Lease


def worker_name() -> str:
    """A name that no other worker has, and that tells a person where it runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def hold(db: Session, name: str, holder: str, seconds: float, at: datetime) -> bool:
    """Take a lease that is free or has run out, or renew one's own; whether the worker has it now.

    Args:
        db: the transaction; the lease is held once it is committed.
        name: of the job.
        holder: of the worker.
        seconds: how long others wait without another sign of the holder.
        at: now.
    """
    until = at + timedelta(seconds=seconds)
    taken = db.execute(
        update(Lease)
        .where(Lease.name == name, or_(Lease.holder == holder, Lease.until < at))
        .values(holder=holder, until=until)
        .returning(Lease.name)
        .execution_options(synchronize_session=False)
    ).first()
    if taken is not None:
        return True
    if db.get(Lease, name) is not None:
        return False
    try:
        with db.begin_nested():
            db.add(Lease(name=name, holder=holder, until=until))
    except IntegrityError:  # another worker was quicker
        return False
    return True


def release(db: Session, name: str, holder: str, at: datetime) -> None:
    """Let another worker take over at once."""
    db.execute(
        update(Lease)
        .where(Lease.name == name, Lease.holder == holder)
        .values(until=at - timedelta(seconds=1))
        .execution_options(synchronize_session=False)
    )
