"""Every table, so that one import tells SQLAlchemy of all of them."""

from streamswarm_controlplane.agents.models import Agent, RemovedAgent
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.audit.models import AuditEntry
from streamswarm_controlplane.auth.models import LoginThrottle, UserSession
from streamswarm_controlplane.enrolment.models import EnrolmentToken
from streamswarm_controlplane.idempotency import KeptAnswer
from streamswarm_controlplane.testplans.models import Marker, TestPlan
from streamswarm_controlplane.tokens.models import StaticToken
from streamswarm_controlplane.users.models import User

__all__ = [
    "Agent",
    "AssignmentRow",
    "AuditEntry",
    "EnrolmentToken",
    "KeptAnswer",
    "LoginThrottle",
    "Marker",
    "RemovedAgent",
    "StaticToken",
    "TestPlan",
    "User",
    "UserSession",
]
