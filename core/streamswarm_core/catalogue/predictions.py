"""What the ML service expects, and what it makes of what it sees."""

from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS
from streamswarm_core.catalogue.model import COUNT, NUMBER, RATIO, SCORE, STATE, TEXT, Field, Kind, Measurement

_BECAUSE: Final = Field(
    "because", TEXT, "What contributed most, with its share of all contributions.", kind=Kind.STRING
)
_LEARNED: Final = Field("learned", COUNT, "Examples that it had been learned from.", kind=Kind.INTEGER)
_SKILL: Final = Field(
    "skill", NUMBER, "1 - loss / loss of the naive baseline so far: 0 is no better than it.", worse="down"
)

FORECAST: Final = Measurement(
    "forecast",
    (*ASSIGNMENT_TAGS, "target", "measurement", "field", "horizon"),
    (
        Field("value", COUNT, "What is expected, in the unit of the field; the median of what may come."),
        Field("low", COUNT, "Lower end of the 90 % interval, in the unit of the field."),
        Field("high", COUNT, "Upper end of the 90 % interval, in the unit of the field."),
        Field("baseline", COUNT, "The naive forecast: what it was when the forecast was made."),
        Field("coverage", RATIO, "Share of past values that lay in their interval; should be 0.9."),
        _LEARNED,
        _SKILL,
        _BECAUSE,
    ),
    "What a field of a probe is expected to be; the time is that which is forecast, `horizon` (1h, 24h, 7d) how long "
    "before it was said, with the tags of the series.",
    open_tags=True,
)

FAILURE_RISK: Final = Measurement(
    "failure_risk",
    (*ASSIGNMENT_TAGS, "target", "measurement"),
    (
        Field("probability", RATIO, "Chance that the target breaks its objective within the hour.", worse="up"),
        Field("baseline", RATIO, "How often that is so for any test at any time.", worse="up"),
        Field("alert", STATE, "1 if the chance is so high that somebody should look.", kind=Kind.INTEGER, worse="up"),
        _LEARNED,
        _SKILL,
        _BECAUSE,
    ),
    "How likely a failure is, with the tags of the series.",
    open_tags=True,
)

HEALTH: Final = Measurement(
    "health",
    (*ASSIGNMENT_TAGS, "target", "measurement"),
    (
        Field("state", TEXT, "ok, degraded or bad: the likeliest.", kind=Kind.STRING),
        Field("ok", RATIO, "Chance that all is well.", worse="down"),
        Field("degraded", RATIO, "Chance that it is degraded.", worse="up"),
        Field("bad", RATIO, "Chance that it is bad.", worse="up"),
        Field("rule", TEXT, "What the thresholds alone say: ok, degraded or bad.", kind=Kind.STRING),
        _LEARNED,
        _SKILL,
        _BECAUSE,
    ),
    "How a test's target is, as operators would say, with the tags of the series.",
    open_tags=True,
)

QOS_RISK: Final = Measurement(
    "qos_risk",
    (*ASSIGNMENT_TAGS, "target", "dscp"),
    (
        Field("probability", RATIO, "Chance that the class breaks its policy in the next window.", worse="up"),
        Field("baseline", RATIO, "How often the class broke its policy so far.", worse="up"),
        Field("compliant", STATE, "1 if the class keeps its policy now, else 0.", kind=Kind.INTEGER, worse="down"),
        Field("evidence", TEXT, "What it doesn't keep, in words, with the values.", kind=Kind.STRING),
        _LEARNED,
        _SKILL,
        _BECAUSE,
    ),
    "Whether a class of traffic gets what its policy says, and will, with the tags of the series.",
    open_tags=True,
)

CAUSE: Final = Measurement(
    "cause",
    (*ASSIGNMENT_TAGS, "target", "measurement"),
    (
        Field(
            "place",
            TEXT,
            "Where the bad result most likely comes from: host, wifi, nic, uplink or remote.",
            kind=Kind.STRING,
        ),
        Field("confidence", SCORE, "How sure that is."),
        Field("own", RATIO, "Chance that it is the agent's own host or link.", worse="up"),
        Field("evidence", TEXT, "What speaks for it, in words, with the values.", kind=Kind.STRING),
        _LEARNED,
        _SKILL,
        _BECAUSE,
    ),
    "What explains a bad result: the agent's own host or link, or what lies beyond; written while results are bad.",
    open_tags=True,
)

PREDICTIONS: Final = (FORECAST, FAILURE_RISK, HEALTH, QOS_RISK, CAUSE)
