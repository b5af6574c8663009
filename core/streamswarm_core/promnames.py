"""Prometheus names, derived from the catalogue (base units, `_total` for counters)."""

from streamswarm_core.catalogue.model import Field, Kind, Measurement, Metric
from streamswarm_core.sketch import COUNT_FIELD, SUM_FIELD


def metric_name(measurement: Measurement, field: Field) -> str:
    """The Prometheus name of a field.

    >>> from streamswarm_core.catalogue.network import ICMP
    >>> metric_name(ICMP, ICMP["rtt_mean"])
    'streamswarm_icmp_rtt_mean_seconds'
    """
    if measurement.distribution:
        part = field.name if field.name in {COUNT_FIELD, SUM_FIELD} else "bucket"
        return f"{histogram_name(measurement)}_{part}"
    parts = ["streamswarm", measurement.name, field.name]
    if field.unit.suffix and not field.name.endswith(field.unit.suffix):
        parts.append(field.unit.suffix)
    if field.metric is Metric.COUNTER:
        parts.append("total")
    return "_".join(parts)


def histogram_name(measurement: Measurement) -> str:
    """The Prometheus name of a distribution.

    >>> from streamswarm_core.catalogue.distribution import ICMP_RTT
    >>> histogram_name(ICMP_RTT)
    'streamswarm_icmp_rtt_seconds'
    """
    return f"streamswarm_{measurement.name}_{measurement[SUM_FIELD].unit.suffix}"


def exported_fields(measurement: Measurement) -> tuple[Field, ...]:
    """The fields that Prometheus can hold: all but text."""
    return tuple(field for field in measurement.fields if field.kind is not Kind.STRING)
