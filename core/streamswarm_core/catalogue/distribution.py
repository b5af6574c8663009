"""Distributions: what a run measured several of, as a mergeable sketch in a measurement of its own."""

from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS
from streamswarm_core.catalogue.model import COUNT, SECONDS, Field, Kind, Measurement
from streamswarm_core.sketch import BUCKET_FIELDS, COUNT_FIELD, SUM_FIELD


def distribution(name: str, what: str, *, tags: tuple[str, ...] = ()) -> Measurement:
    """Declare a distribution of durations.

    Args:
        name: as stored.
        what: what is distributed, in the plural.
        tags: beside those of every assignment and the target.
    """
    return Measurement(
        name,
        (*ASSIGNMENT_TAGS, "target", *tags),
        (
            Field(SUM_FIELD, SECONDS, f"Sum of the {what} since the point before."),
            Field(COUNT_FIELD, COUNT, f"How many {what} there were since the point before.", kind=Kind.INTEGER),
            *(
                Field(bucket, COUNT, f"How many {what} fall into the bucket that ends here.", kind=Kind.INTEGER)
                for bucket in BUCKET_FIELDS
            ),
        ),
        f"Distribution of {what}: counts in ten buckets a decade, empty ones left out; add them up over any range. "
        "Runs less than ten seconds apart share a point.",
        distribution=True,
    )


ICMP_RTT: Final = distribution("icmp_rtt", "round-trip times", tags=("family",))

DISTRIBUTIONS: Final = (ICMP_RTT,)
