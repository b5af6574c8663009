from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS
from streamswarm_core.catalogue.model import COUNT, SCORE, STATE, TEXT, Field, Kind, Measurement
from streamswarm_core.catalogue.predictions import PREDICTIONS

ANOMALY: Final = Measurement(
    "anomaly",
    (*ASSIGNMENT_TAGS, "target", "measurement", "field", "detector"),
    (
        Field("score", SCORE, "How unusual the value is for its series: 0 as ever, 1 never seen.", worse="up"),
        Field("threshold", SCORE, "The score from which the value counts as an anomaly."),
        Field("flag", STATE, "1 while the series is in an anomaly.", kind=Kind.INTEGER, worse="up"),
        Field("expected", COUNT, "What the detector expected, in the unit of the watched field."),
        Field("value", COUNT, "What was measured, in the unit of the watched field."),
        Field("event", TEXT, "`open` or `close` where an anomaly begins or ends.", kind=Kind.STRING),
        Field("kind", TEXT, "Where one ends: `incident`, or `new normal` if the series stayed.", kind=Kind.STRING),
        Field(
            "view",
            TEXT,
            "Where one begins: what of the series showed it most; while all fields together are in one: which, now.",
            kind=Kind.STRING,
        ),
        Field("baseline", TEXT, "Where one begins: what the value was compared with.", kind=Kind.STRING),
    ),
    "Scores of the ML service: one point per scored point, with the tags and the time of the series it judges.",
    open_tags=True,
)

ML: Final = (ANOMALY, *PREDICTIONS)
