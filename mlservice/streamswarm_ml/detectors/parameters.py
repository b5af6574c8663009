"""The numbers of the detector.

They were chosen for all series at once, on the development half of NAB (`benchmarks/nab.py`) and on made-up telemetry
(`benchmarks/ml_series.py`), in the middle of a range within which results hardly change. docs/anomalies.md has figures.
"""

from typing import Final

WARMUP: Final = 100
"""Points of a series before it is judged."""

FORGET: Final = 0.00015
FORGET_SECONDS: Final = 300.0
"""Share of its width by which a range shrinks at each point, for points at least this far apart; closer ones shrink it
in proportion, so that a range forgets by time: half its width in eight days."""
SLOW: Final = 10.0
"""Weight of a point in the slow means, in units of the share that is forgotten."""
FAST: Final = 0.01
"""Weight of a point in the fast mean and spread."""
SHORT: Final = 0.1
LONG: Final = 0.03
"""Weights of a point in the smoothed views."""
STEP_SHARE: Final = 0.3
"""Novelty is told in no finer unit than this share of the least step that the series makes: one lost packet of ten is
the least there can be, however seldom it comes."""
SHORT_VARIATION: Final = 0.2
LONG_VARIATION: Final = 0.05

SEASON_KEEP: Final = 0.999
DAY_LEAST: Final = 3.0
WEEK_LEAST: Final = 6.0
"""What a mean of an hour keeps at each of its points; points before an hour of the day, or of the week, is used."""

SEASON_LIMIT: Final = 100.0
SEASON_LIMIT_OPEN: Final = 10.0
"""How far, in spreads, a value moves the season's means at most; and while an anomaly is open, which is not to be what
is expected at this hour from then on."""

LEAK: Final = 0.8
"""What accumulated novelty keeps from point to point."""
REST: Final = 80
"""Points for which only a greater novelty than the last begins a new incident."""
GREATER: Final = 1.5
"""How many times the last it has to be: what still grows is the same incident, until it is much more than was told."""
USUAL_NOVELTY: Final = 0.1
USUAL_WEIGHT: Final = 0.1
"""A series that often surprises by this much is believed half; weight of one surprise in what is usual for it."""
ONCE_A_WEEK: Final = 0.8
"""Novelty that a healthy series shows once a week; twice as much is shown half as often. Measured by
`benchmarks/incidents.py`."""

YOUNG_SECONDS: Final = 86_400.0
"""A series that has been seen for so long is believed half, a younger one less: of values drawn alike, the n-th is the
greatest yet with a chance of 1/n, so what was never seen before comes the oftener the younger a series is."""

LASTING_FROM: Final = 4.0
LASTING_MOST: Final = 6.0
LASTING_KEEP: Final = 0.9
LASTING_LIMIT: Final = 25.0
"""Deviations from so many on gather, each at most so much, and leak; what gathered to the limit opens an anomaly even
if no view is out of its range. A value has to be so far from its season, and away by itself: else an incident that a
season has learned would be told again, the other way round, at the same hour of the next days."""
SLOW_COUNTS: Final = 2.0
"""How far a value is away by itself, whatever is expected at its hour: from the recent mean, in spreads of what the
season leaves, or this many times as far as it is from its slow mean, in spreads of the value. The recent mean alone
goes along with a slow leak. No residual says more of a score than this."""

UNIT_SHARE: Final = 0.03
"""Deviations are told in no finer unit than this share of the least step that the series makes: as with STEP_SHARE,
but of scores that begin no incident."""

HALF_DEVIATION: Final = 5.0
"""Deviation, in mean absolute deviations, that gives half of what a point can score that begins no incident."""
RECENT_KEEP: Final = 0.9
RECENT_MOST: Final = 50.0
"""Half of that score is of this point, half of the mean of late, which keeps so much from point to point and takes in
at most so much: values beside one far out are often of the same incident though they look like any other."""
QUIET_DEVIATION: Final = 6.0
QUIET_POINTS: Final = 5
"""An anomaly ends when so many points in a row were less far, in spreads, from what was expected: if that is a season's
mean that knew this hour before the anomaly began, or if the values are also near what was expected when it began."""

SETTLED_POINTS: Final = 240
"""Steady points, by the Page–Hinkley test, after which an open anomaly that has reached a level is a new normal."""
DRIFT_ALLOWANCE: Final = 0.1
DRIFT_LIMIT: Final = 20.0
"""Page–Hinkley: change to put up with, and the accumulated change that is one, both as the inverse hyperbolic sine of
deviations from what was expected when the anomaly began. (What is expected now changes with the hour, as the season
knows some hours of the new level and others not.)"""
REACHED_SHARE: Final = 0.15
REACHED_LEAST: Final = 2.0
REACHED_TREND: Final = 0.1
ASKED_AGAIN: Final = 60
"""A level has been reached if the short mean is as far out as the mean of the steady points is, give or take such a
share or so many spreads; a leak's is farther, a value's that goes back nearer. And the mean of some hundred values has
to be as far as the short one but for the share REACHED_TREND: spreads widen with a leak, which hides that it still
grows. If not, it is asked again after so many points."""
RESTARTED_POINTS: Final = 5.0
"""How many points a mean is taken to have seen when a new normal begins: it moves at once."""

COUNTER_POINTS: Final = 64
COUNTER_FALLS: Final = 4
"""A series that never fell in so many points and rose in most of them is a counter, whose rate is judged; one that
falls as often as this within as many points is not."""

MOST_ALARMS: Final = 9.0
"""What a healthy series shows more often than this in a week begins no incident."""

GREATEST_VALUE: Final = 1e150
"""Values beyond count as this, so that no square overflows."""
