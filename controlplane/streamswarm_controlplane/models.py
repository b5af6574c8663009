"""Every table, so that one import tells SQLAlchemy of all of them."""

from streamswarm_controlplane.agents.models import Agent, RemovedAgent
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.audit.models import AuditEntry, AuditRetention
from streamswarm_controlplane.auth.models import KnownAddress, LoginThrottle, OidcLogin, UserSession
from streamswarm_controlplane.development.models import DevelopmentWindow
from streamswarm_controlplane.enrolment.models import AgentSecret, EnrolmentToken
from streamswarm_controlplane.idempotency import KeptAnswer
from streamswarm_controlplane.jobs.models import Lease
from streamswarm_controlplane.maintenance.models import MaintenanceWindow
from streamswarm_controlplane.notifications.models import Alert, Channel, Delivery, Rule, RuleGroup, Silence
from streamswarm_controlplane.runs.models import RunRecord
from streamswarm_controlplane.sites.models import Site
from streamswarm_controlplane.sysconfig.models import ConfigChange, ConfigValue
from streamswarm_controlplane.testplans.models import Marker, TestPlan
from streamswarm_controlplane.tokens.models import ApiToken, StaticToken
from streamswarm_controlplane.users.models import User, UserIdentity

__all__ = [
    "Agent",
    "AgentSecret",
    "Alert",
    "ApiToken",
    "AssignmentRow",
    "AuditEntry",
    "AuditRetention",
    "Channel",
    "ConfigChange",
    "ConfigValue",
    "Delivery",
    "DevelopmentWindow",
    "EnrolmentToken",
    "KeptAnswer",
    "KnownAddress",
    "Lease",
    "LoginThrottle",
    "MaintenanceWindow",
    "Marker",
    "OidcLogin",
    "RemovedAgent",
    "Rule",
    "RuleGroup",
    "RunRecord",
    "Silence",
    "Site",
    "StaticToken",
    "TestPlan",
    "User",
    "UserIdentity",
    "UserSession",
]
