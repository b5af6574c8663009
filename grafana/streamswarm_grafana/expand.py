"""Queries as Grafana would send them: macros and variables replaced.

After `templateSrv.replace`, `interpolateQueryExpr` of both data sources and `rangeutil.roundInterval` in Grafana 11.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

ALL: Final = "$__all"
_REGEX_SPECIAL: Final = re.compile(r"[\\^$*+?.()|{}\[\]/]")
_PROM_SPECIAL: Final = re.compile(r"[$^*{}\[\]'+?.()|]")
_NICE_SECONDS: Final = (
    1,
    2,
    5,
    10,
    15,
    20,
    30,
    60,
    120,
    300,
    600,
    900,
    1200,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    86400,
)
_MOST_POINTS: Final = 500
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class View:
    """What a person looks at.

    Attributes:
        start_ms: begin of the range.
        stop_ms: its end.
        chosen: values by variable; one that isn't named is "All".
        constants: variables that are no choice from the store, such as `slo`.
    """

    start_ms: int
    stop_ms: int
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=lambda: {"slo": "0.999"})

    @property
    def seconds(self) -> int:
        """Length of the range."""
        return (self.stop_ms - self.start_ms) // 1000

    def step(self, every: str) -> int:
        """`$__interval` in seconds."""
        wanted = max(self.seconds / _MOST_POINTS, seconds_of(every))
        return next((one for one in _NICE_SECONDS if one >= wanted), _NICE_SECONDS[-1])


def seconds_of(text: str) -> int:
    """A duration such as 1m in seconds.

    >>> seconds_of("15m")
    900
    """
    return int(text[:-1]) * _SECONDS[text[-1]]


def influxql(text: str, view: View, every: str) -> str:
    r"""An InfluxQL statement ready to send.

    >>> print(influxql("$timeFilter AND a =~ /^${site:regex}$/", View(0, 60_000, {"site": ["x.y"]}), "1m"))
    time >= 0ms and time <= 60000ms AND a =~ /^x\.y$/
    """
    step = view.step(every)

    def named(found: re.Match[str]) -> str:
        return _joined([_REGEX_SPECIAL.sub(r"\\\g<0>", one) for one in view.chosen.get(found[1], ())])

    text = re.sub(r"\$\{(\w+):regex\}", named, text)
    text = text.replace("$timeFilter", f"time >= {view.start_ms}ms and time <= {view.stop_ms}ms")
    text = text.replace("${__to}", str(view.stop_ms))
    text = text.replace("$__interval_ms", str(step * 1000)).replace("$__interval", f"{step}s")
    return _constants(text, view)


def promql(text: str, view: View, every: str) -> str:
    r"""A PromQL expression ready to send.

    >>> print(promql('x{site=~"$site"}[$__rate_interval]', View(0, 60_000, {"site": ["x.y"]}), "1m"))
    x{site=~"x\\.y"}[240s]
    """
    step, scrape = view.step(every), seconds_of(every)

    def named(found: re.Match[str]) -> str:
        values = view.chosen.get(found[1], ())
        return f'=~"{_joined([_PROM_SPECIAL.sub(_doubled, one.replace(chr(92), chr(92) * 4)) for one in values])}"'

    text = text.replace("$__rate_interval", f"{max(step + scrape, 4 * scrape)}s")
    text = text.replace("$__interval", f"{step}s").replace("$__range", f"{view.seconds}s")
    text = re.sub(r'=~"\$(site|agent|target|test)"', named, text)
    return _constants(text, view)


def _doubled(found: re.Match[str]) -> str:
    return chr(92) * 2 + found[0]


def _joined(values: Sequence[str]) -> str:
    if not values:
        return ".*"
    return values[0] if len(values) == 1 else f"({'|'.join(values)})"


def _constants(text: str, view: View) -> str:
    for name, value in view.constants.items():
        text = text.replace(f"${name}", value)
    left = re.search(r"\$\{?[a-zA-Z_]\w*", text)
    if left is not None:
        raise ValueError(f"{left[0]} is nothing that Grafana would replace here: {text}")
    return text
