"""PromQL selectors as values: user input becomes a quoted label value, never syntax."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from streamswarm_core.errors import Refused
from streamswarm_core.reader.select import Condition, Function

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def quote_value(text: str) -> str:
    r"""Quote a label value as PromQL and MetricsQL read it (Go's interpreted string literals).

    >>> print(quote_value('C:\\temp "x"\n'))
    "C:\\temp \"x\"\x0a"
    """
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return '"' + _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", escaped) + '"'


def label_name(tag: str) -> str:
    """A tag key as a label name.

    Raises:
        Refused: Prometheus can't have such a label.
    """
    if not _LABEL.match(tag):
        raise Refused(f"tag {tag!r} can't be asked for by PromQL: letters, digits and _ only", status=400)
    return tag


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; an empty value is a missing label."""

    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    def render(self) -> str:
        """PromQL text of the condition."""
        return f"{label_name(self.label)}{self.operator}{quote_value(self.value)}"


def one_of(label: str, values: Iterable[str]) -> Matcher:
    r"""The label has one of these values, literally.

    >>> one_of("target", ["a.b", "c|d"]).render()
    'target=~"a\\\\.b|c\\\\|d"'
    """
    return Matcher(label, "=~", "|".join(re.escape(value) for value in sorted(set(values))))


def conditions(where: Sequence[Condition]) -> list[Matcher]:
    """A statement's conditions."""
    return [Matcher(one.tag, one.operator, one.value) for one in where]


def selector(matchers: Iterable[Matcher]) -> str:
    """An instant vector selector.

    >>> selector([Matcher("__name__", "=", "up"), Matcher("target", "=", "::1")])
    '{__name__="up",target="::1"}'
    """
    return "{" + ",".join(matcher.render() for matcher in matchers) + "}"


def grouping(group_by: Sequence[str], added_labels: Iterable[str]) -> str:
    """The clause of an aggregation: these tags, or ("*",) for all but what the store added.

    >>> grouping(["agent", "test"], ["db"]), grouping(["*"], ["db"])
    ('by (agent,test)', 'without (db)')
    """
    if "*" in group_by:
        return f"without ({','.join(sorted(added_labels))})"
    return f"by ({','.join(label_name(tag) for tag in group_by)})"


def aggregation(function: Function, group: str) -> Callable[[str], str]:
    """How to write an aggregate over all samples of a group, whichever series they are of.

    A mean is a sum over a count and not a mean of means, so that series with more points weigh more, as in InfluxQL.

    Returns:
        What makes a query of a range selector.

    Raises:
        Refused: `first` and `last`, which PromQL doesn't have across series.
    """
    match function:
        case Function.MEAN:
            return lambda samples: f"sum {group} (sum_over_time({samples})) / sum {group} (count_over_time({samples}))"
        case Function.MIN | Function.MAX | Function.SUM:
            return lambda samples: f"{function} {group} ({function}_over_time({samples}))"
        case Function.COUNT:
            return lambda samples: f"sum {group} (count_over_time({samples}))"
        case _:
            raise Refused(
                f"{function}() can't be asked for by PromQL: take mean, min, max, sum or count, or ask for raw rows",
                status=400,
            )
