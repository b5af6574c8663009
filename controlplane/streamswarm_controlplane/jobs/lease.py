"""A lease in the database: of several workers exactly one does a job, and another takes over when it dies.

Workers' clocks may differ: one that is fast takes a lease early, and the former holder learns it at its next `hold`.
So a job renews the lease in the very transaction that it writes in; then two never write for the same round.
"""

import os
import secrets
import socket
from datetime import datetime, timedelta

from sqlalchemy import case, func, literal, or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from streamswarm_controlplane.jobs.models import Lease


def worker_name() -> str:
    """A name that no other worker has, and that tells a person where it runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def hold(db: Session, name: str, holder: str, seconds: float, at: datetime) -> datetime | None:
    """Take a lease that is free or has run out, or renew one's own.

    Args:
        db: the transaction; the lease is held once it is committed.
        name: of the job.
        holder: of the worker.
        seconds: how long others wait without another sign of the holder.
        at: now.

    Returns:
        Since when the lease has been held, by whomever, without a gap longer than `seconds`; None if another worker
        has it.
    """
    lease = timedelta(seconds=seconds)
    begun = literal(at, Lease.since.type)
    taken = db.execute(
        update(Lease)
        .where(Lease.name == name, or_(Lease.holder == holder, Lease.until < at))
        .values(
            holder=holder,
            until=at + lease,
            since=case((Lease.until < at - lease, begun), else_=func.coalesce(Lease.since, begun)),
        )
        .returning(Lease.since)
        .execution_options(synchronize_session=False)
    ).first()
    if taken is not None:
        return taken[0] or at
    if db.get(Lease, name) is not None:
        return None
    try:
        with db.begin_nested():
            db.add(Lease(name=name, holder=holder, until=at + lease, since=at))
    except IntegrityError:  # another worker was quicker
        return None
    return at


def release(db: Session, name: str, holder: str, at: datetime) -> None:
    """Let another worker take over at once."""
    db.execute(
        update(Lease)
        .where(Lease.name == name, Lease.holder == holder)
        .values(until=at - timedelta(seconds=1))
        .execution_options(synchronize_session=False)
    )
