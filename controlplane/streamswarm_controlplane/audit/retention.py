from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.models import AuditEntry, AuditRetention
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.db import delete_rows


def prune(db: Session, actor: Actor, cutoff: datetime) -> int:
    """Delete entries older than a time, the only way there is; returns how many. It is an entry itself.

    The triggers let go of what is older than the row in `audit_retention`, which nobody else ever sees.
    """
    db.add(AuditRetention(cutoff=cutoff))
    db.flush()
    deleted = delete_rows(db, delete(AuditEntry).where(AuditEntry.time < cutoff))
    db.execute(delete(AuditRetention))
    record(db, actor, "audit.prune", "audit", after={"before": cutoff.isoformat(), "deleted": deleted})
    return deleted
