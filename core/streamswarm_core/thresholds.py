"""When a test is degraded or bad, and how often it may be: what alerts, reports and models agree on.

Pure: nothing here reads a store or a clock. `resolve` holds limits against the catalogue, `judge` holds values against
limits.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamswarm_core.catalogue.model import RATIO, SCORE, STATE, Kind, Measurement
from streamswarm_core.catalogue.model import Field as CatalogueField
from streamswarm_core.integer import Integer
from streamswarm_core.probespecs.model import ProbeSpec
from streamswarm_core.wording import format_condition, format_length, format_value


class Comparison(StrEnum):
    """How a value is held against a limit; it is bad if this is true."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="

    @property
    def grows(self) -> bool:
        """Whether larger values are worse."""
        return self in {Comparison.ABOVE, Comparison.AT_LEAST}


_HOLDS: Final[Mapping[Comparison, Callable[[float, float], bool]]] = {
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
}

Limit = Annotated[float, Field(allow_inf_nan=False, strict=True)]


class Threshold(BaseModel):
    """Limits of one field: degraded beyond `warn`, bad beyond `bad`, in the field's base unit.

    A limit counts as crossed once at least this share of the window's values is beyond it, so that one slow answer is
    no incident. A window of 0 looks at the newest value alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measurement: str = Field("", max_length=63, description="The probe's first one that has the field, if empty.")
    field: str = Field(min_length=1, max_length=63, description="A field of the probe, such as `rtt_mean`.")
    comparison: Comparison = Field(Comparison.ABOVE, description="A value is beyond a limit if this holds.")
    warn: Limit | None = Field(None, description="Limit beyond which the test is degraded, in the field's unit.")
    bad: Limit | None = Field(None, description="Limit beyond which the test is bad, in the field's unit.")
    window: float = Field(
        300.0, ge=0, le=86_400, strict=True, description="Seconds that are looked back; 0 for the newest value."
    )
    share: float = Field(
        0.5, gt=0, le=1, strict=True, description="Share of the window's values that have to be beyond a limit."
    )

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.warn is None and self.bad is None:
            raise ValueError("needs a limit: warn, bad or both")
        if (
            self.warn is not None
            and self.bad is not None
            and (self.warn >= self.bad if self.comparison.grows else self.warn <= self.bad)
        ):
            order = "below" if self.comparison.grows else "above"
            raise ValueError(
                f"with {self.comparison} warn has to be {order} bad; they are {self.warn:g} and {self.bad:g}"
            )
        return self

    def beyond(self, value: float, limit: float) -> bool:
        """Whether a value is beyond a limit.

        >>> Threshold(field="loss", bad=0.1).beyond(0.2, 0.1)
        True
        """
        return _HOLDS[self.comparison](value, limit)


class Objective(BaseModel):
    """The share of time, of those days, in which the test has to be neither down nor bad."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: float = Field(gt=0, lt=1, strict=True, examples=[0.999], description="Such as 0.999 for 99.9 %.")
    days: Integer = Field(30, ge=1, le=366, description="Days that are looked back.")


class Verdict(StrEnum):
    """How a test is by its thresholds. No data is never OK."""

    OK = "ok"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    BAD = "bad"


_RANK: Final = {verdict: rank for rank, verdict in enumerate(Verdict)}


class Sample(NamedTuple):
    """One value.

    Attributes:
        time: seconds since the epoch.
        value: in the field's unit.
    """

    time: float
    value: float


class Finding(BaseModel):
    """What one threshold found that is not OK."""

    model_config = ConfigDict(frozen=True)

    measurement: str
    field: str
    verdict: Verdict
    limit: float | None = Field(description="The limit that was crossed; null where there was no value.")
    worst: float | None = Field(description="The window's worst value.")
    share: float = Field(description="Share of the window's values beyond the limit.")
    samples: int = Field(description="Values in the window.")
    message: str = Field(description="For a person.")


class Judgement(BaseModel):
    """The worst of all findings, and the findings."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    findings: tuple[Finding, ...] = ()


class UnknownField(ValueError):  # noqa: N818 - a mistake of the person who asks
    """A threshold that the probe's measurements don't fit; `name` says which part of it."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


def resolve(spec: ProbeSpec, threshold: Threshold) -> tuple[Measurement, CatalogueField]:
    """The measurement and the field that a threshold is about.

    Raises:
        UnknownField: the probe has no such measurement or number, or a limit can't be reached in its unit.
    """
    candidates = [one for one in spec.measurements if threshold.measurement in {"", one.name}]
    if not candidates:
        known = ", ".join(one.name for one in spec.measurements)
        raise UnknownField("measurement", f"{spec.name} doesn't write {threshold.measurement!r}; it writes {known}")
    found = next((one for one in candidates if threshold.field in one), None)
    if found is None or found[threshold.field].kind is Kind.STRING:
        numbers = ", ".join(one.name for each in candidates for one in each.fields if one.kind is not Kind.STRING)
        raise UnknownField("field", f"{spec.name} has no number {threshold.field!r}; it has {numbers}")
    field = found[threshold.field]
    if field.unit in {RATIO, SCORE, STATE}:
        for name in ("warn", "bad"):
            limit = getattr(threshold, name)
            if limit is not None and not 0 <= limit <= 1:
                raise UnknownField(
                    name, f"{field.name} is a {field.unit.name}: 5 % is 0.05; {limit:g} is never reached"
                )
    return found, field


def judge(
    spec: ProbeSpec, thresholds: Iterable[Threshold], samples: Mapping[str, Sequence[Sample]], *, at: float
) -> Judgement:
    """Hold values against limits.

    Args:
        spec: the test's probe.
        thresholds: its limits.
        samples: values by `measurement.field`, in any order; those outside of a threshold's window are passed over.
        at: the moment judged, seconds since the epoch.

    Raises:
        UnknownField: a threshold doesn't fit the probe.
    """
    findings = [finding for threshold in thresholds if (finding := _judge_one(spec, threshold, samples, at))]
    worst = max((finding.verdict for finding in findings), key=_RANK.__getitem__, default=Verdict.OK)
    return Judgement(verdict=worst, findings=tuple(findings))


def _judge_one(
    spec: ProbeSpec, threshold: Threshold, samples: Mapping[str, Sequence[Sample]], at: float
) -> Finding | None:
    measurement, field = resolve(spec, threshold)
    past = [one for one in samples.get(f"{measurement.name}.{field.name}", ()) if one.time <= at]
    if threshold.window:
        values = [one.value for one in past if one.time > at - threshold.window]
    else:
        values = [max(past).value] if past else []
    if not values:
        return Finding(
            measurement=measurement.name,
            field=field.name,
            verdict=Verdict.UNKNOWN,
            limit=None,
            worst=None,
            share=0.0,
            samples=0,
            message=f"{field.name}: no value{_period(threshold)}",
        )
    for verdict, limit in ((Verdict.BAD, threshold.bad), (Verdict.DEGRADED, threshold.warn)):
        if limit is None:
            continue
        share = sum(threshold.beyond(value, limit) for value in values) / len(values)
        if share >= threshold.share:
            return Finding(
                measurement=measurement.name,
                field=field.name,
                verdict=verdict,
                limit=limit,
                worst=_worst(threshold, values),
                share=share,
                samples=len(values),
                message=_message(threshold, field, limit, values),
            )
    return None


def _worst(threshold: Threshold, values: Sequence[float]) -> float:
    return max(values) if threshold.comparison.grows else min(values)


def _message(threshold: Threshold, field: CatalogueField, limit: float, values: Sequence[float]) -> str:
    condition = format_condition(threshold.comparison, limit, field.unit)
    worst = format_value(_worst(threshold, values), field.unit)
    if len(values) == 1:
        return f"{field.name} is {worst}" + ("" if field.unit == STATE else f", which is {condition}")
    count = sum(threshold.beyond(value, limit) for value in values)
    text = f"{field.name} is {condition} in {count} of {len(values)} values{_period(threshold)}"
    return text if field.unit == STATE else f"{text}; worst {worst}"


def _period(threshold: Threshold) -> str:
    return f" within {format_length(threshold.window)}" if threshold.window else ""
