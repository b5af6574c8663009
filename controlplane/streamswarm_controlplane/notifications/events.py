"""What alerts are about, and how bad they are."""

from enum import StrEnum


class Event(StrEnum):
    """The kinds of alerts."""

    AGENT_OFFLINE = "agent_offline"
    TEST_DOWN = "test_down"
    NO_DATA = "no_data"
    THRESHOLD = "threshold"
    ANOMALY = "anomaly"
    STORE_UNAVAILABLE = "store_unavailable"


class Severity(StrEnum):
    """From good to know to act now."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class DeliveryStatus(StrEnum):
    """Where a message is on its way."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"


class MessageKind(StrEnum):
    """Why a message is sent."""

    OPENED = "opened"
    CLOSED = "closed"
    CHANGED = "changed"
    REPEATED = "repeated"
    TEST = "test"
