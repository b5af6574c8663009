"""InfluxDB line protocol: `measurement,tag=value field=value time`.

Reference: InfluxDB OSS 1.8 and 2.x, "Line protocol". The parser is strict and slow; it is the reference that a faster
one is held against.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from streamswarm_core.errors import LineError
from streamswarm_core.point import FieldValue, Point

PRECISION_NS: Final[Mapping[str, int]] = {
    "ns": 1,
    "n": 1,
    "us": 1_000,
    "u": 1_000,
    "µ": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
"""Nanoseconds in each precision that `/write` (1.x) and `/api/v2/write` accept."""

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
# InfluxDB keeps the two lowest and the highest int64 for itself (models.MinNanoTime, models.MaxNanoTime).
MIN_TIME_NS: Final = INT64_MIN + 2
MAX_TIME_NS: Final = INT64_MAX - 1

# InfluxDB's models.MaxKeyLength. A line of at most SURELY_SHORT characters can't reach it.
MAX_KEY_BYTES: Final = 65_535
SURELY_SHORT: Final = MAX_KEY_BYTES // 4 - 4

BLANK: Final = " \t\r\0"
"""What may stand around a line: InfluxDB's white space, and the carriage return of a file from Windows."""

# In measurements and tags InfluxDB takes a separator for escaped if the character before it is a backslash, even if
# that one is escaped itself: `t=a\\ b` is one value.
_SPACE: Final = re.compile(r"(?<!\\) ")
_COMMA: Final = re.compile(r"(?<!\\),")
_EQUALS: Final = re.compile(r"(?<!\\)=")
_MARKS: Final = re.compile(r'\\.|[ =,"\n]', re.DOTALL)
_NUMBER: Final = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d+\Z", re.ASCII)
_MOST_DIGITS: Final = 640
"""So many Python reads whatever its settings are (`sys.set_int_max_str_digits`)."""
_MOST_ESCAPED: Final = 65_536
_TRUE: Final = frozenset({"t", "T", "true", "True", "TRUE"})
_FALSE: Final = frozenset({"f", "F", "false", "False", "FALSE"})


def escape_measurement(name: str) -> str:
    r"""Escape a measurement's name.

    >>> escape_measurement("a b,c")
    'a\\ b\\,c'
    """
    return _closed(name.replace(",", r"\,").replace(" ", r"\ ").replace("\n", r"\n"))


def escape_tag(text: str) -> str:
    r"""Escape a tag key, tag value or field key.

    >>> escape_tag("a b=c")
    'a\\ b\\=c'
    """
    return _closed(text.replace(",", r"\,").replace("=", r"\=").replace(" ", r"\ ").replace("\n", r"\n"))


class _EscapedTags(dict[str, str]):
    """Tags and keys come again and again; the escaped ones are kept, up to a limit."""

    def __missing__(self, text: str) -> str:
        if len(self) >= _MOST_ESCAPED:
            self.clear()
        escaped = self[text] = escape_tag(text)
        return escaped


_ESCAPED: Final = _EscapedTags()
_escaped_measurement: Final = lru_cache(1024)(escape_measurement)


def _closed(escaped: str) -> str:
    """End with a space what ends with a backslash, which would escape the separator behind it."""
    return escaped + " " if escaped.endswith("\\") else escaped


def format_field(value: FieldValue) -> str:
    r"""Write one field's value.

    Raises:
        ValueError: NaN or infinity, which line protocol can't carry, or an integer beyond 64 bits.

    >>> [format_field(v) for v in (1.5, 3, True, 'say "hi"')]
    ['1.5', '3i', 'true', '"say \\"hi\\""']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not INT64_MIN <= value <= INT64_MAX:
            raise ValueError(f"integer {value} does not fit into 64 bits")
        return f"{value}i"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"line protocol has no {value}; leave the field out")
        return repr(value)
    return '"' + value.replace("\\", "\\\\").replace('"', r"\"") + '"'


def encode(point: Point) -> str:
    """Write one point as a line, tags sorted by key as InfluxDB prefers, without a newline.

    Raises:
        ValueError: the point has no field, or a field can't be written.

    >>> encode(Point("icmp", {"target": "::1"}, {"up": 1, "loss": 0.0}, 1))
    'icmp,target=::1 up=1i,loss=0.0 1'
    """
    if not point.fields:
        raise ValueError(f"point of {point.measurement!r} has no fields")
    known = _ESCAPED
    tags = "".join([f",{known[key]}={known[value]}" for key, value in sorted(point.tags.items()) if value != ""])
    # The common types without a call: agents write thousands of points a second.
    fields = ",".join(
        [
            f"{known[key]}={value!r}"
            if type(value) is float and math.isfinite(value)
            else f"{known[key]}={value}i"
            if type(value) is int and INT64_MIN <= value <= INT64_MAX
            else f"{known[key]}={format_field(value)}"
            for key, value in point.fields.items()
        ]
    )
    time = "" if point.time_ns is None else f" {point.time_ns}"
    return f"{_escaped_measurement(point.measurement)}{tags} {fields}{time}"


def encode_lines(points: Iterable[Point]) -> bytes:
    """Write many points as UTF-8 lines, each ended by a newline."""
    return "".join(encode(point) + "\n" for point in points).encode()


def split_lines(body: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line) for each line that holds a point.

    Blank lines and comments are passed over. A newline inside a quoted string value, or behind a backslash, belongs to
    its line, as in InfluxDB.
    """
    start, number = 0, 1
    while start < len(body):
        end = body.find("\n", start)
        end = len(body) if end < 0 else end
        line = body[start:end].strip(BLANK)
        if line and line[0] != "#":
            if '"' in line or line[-1] == "\\":
                end = _end_of_line(body, start)
                line = body[start:end].strip(BLANK)
            yield number, line
        number += body.count("\n", start, end) + 1
        start = end + 1


def _end_of_line(body: str, start: int) -> int:
    """Index of the newline that ends the line which begins at `start`, or the body's length."""
    in_fields, quoted, open_values = False, False, 0
    for mark in _MARKS.finditer(body, start):
        char = mark[0]
        if char == '"':
            quoted ^= open_values > 0
        elif quoted:
            continue
        elif char == "\n":
            return mark.start()
        elif char == " ":
            in_fields = True
        elif in_fields and char in "=,":
            open_values += 1 if char == "=" else -1
    return len(body)


def parse_line(line: str, *, default_time_ns: int | None = None, precision: str = "ns") -> Point:
    r"""Read one line.

    Args:
        line: one point, without its newline.
        default_time_ns: the time of a line that carries none.
        precision: the unit of the line's time, a key of PRECISION_NS.

    Raises:
        LineError: the line breaks the syntax; the reason says how.

    >>> parse_line(r'disk,path=/a\ b free=1i,ok=t,note="x y" 1')
    Point(measurement='disk', tags={'path': '/a b'}, fields={'free': 1, 'ok': True, 'note': 'x y'}, time_ns=1)
    """
    key_part, _, rest = _cut(line, _SPACE)
    name_part, *tag_parts = _COMMA.split(key_part)
    if not name_part:
        raise LineError("missing measurement", line)
    field_parts, time_part = _cut_fields(rest.lstrip(" "), line)
    if field_parts == [""]:
        raise LineError("missing fields", line)
    if "\n" in key_part:
        raise LineError("a newline in the measurement or a tag", line)
    tags = dict(_parse_tag(part, line) for part in tag_parts)
    if len(tags) != len(tag_parts):
        raise LineError("duplicate tags", line)
    fields: dict[str, FieldValue] = {}
    for part in field_parts:
        key, value = _parse_field(part, line)
        if type(fields.setdefault(key, value)) is not type(value):
            raise LineError(f'field type conflict: field "{key}" comes twice with different types', line)
        fields[key] = value
    if len(line) > SURELY_SHORT:
        _refuse_long_key(key_part, fields, line)
    return Point(
        _unescape_measurement(name_part), tags, fields, _parse_time(time_part.strip(), line, default_time_ns, precision)
    )


def _refuse_long_key(key_part: str, fields: Iterable[str], line: str) -> None:
    """Refuse what InfluxDB has no room for: series key, a separator of four bytes and field key in 65,535 bytes."""
    size = len(key_part.encode()) + 4 + max(len(key.encode()) for key in fields)
    if size > MAX_KEY_BYTES:
        raise LineError(f"max key length exceeded: {size} > {MAX_KEY_BYTES}", line)


def _parse_tag(part: str, line: str) -> tuple[str, str]:
    pieces = _EQUALS.split(part)
    if len(pieces) < 2 or not pieces[0]:
        raise LineError("missing tag key" if not pieces[0] else "missing tag value", line)
    if len(pieces) > 2:
        raise LineError("invalid tag format", line)
    if not pieces[1]:
        raise LineError("missing tag value", line)
    return _unescape(pieces[0]), _unescape(pieces[1])


def _parse_field(part: str, line: str) -> tuple[str, FieldValue]:
    key, _, raw = _cut(part, _EQUALS)
    if not key:
        raise LineError("missing field key", line)
    if not raw:
        raise LineError("missing field value", line)
    if "\n" in key:
        raise LineError("a newline in a field key", line)
    return _unescape(key).replace('\\"', '"'), parse_field_value(raw, line)


def parse_field_value(raw: str, line: str = "") -> FieldValue:
    """Read one field value as it stands in a line: `1.5`, `3i`, `7u`, `true` or a quoted string.

    Raises:
        LineError: it is none of these.
    """
    if raw[0] == '"':
        if len(raw) < 2 or raw[-1] != '"':
            raise LineError("unbalanced quotes", line)
        return re.sub(r'\\(["\\])', r"\1", raw[1:-1])
    if raw in _TRUE:
        return True
    if raw in _FALSE:
        return False
    suffix = raw[-1]
    if suffix in "iu" and _INTEGER.match(raw[:-1]):
        integer = _integer(raw[:-1])
        low, high = (INT64_MIN, INT64_MAX) if suffix == "i" else (0, INT64_MAX)
        if integer is None or not low <= integer <= high:
            raise LineError(f"unable to parse integer {_shortened(raw[:-1])}: value out of range", line)
        return integer
    if _NUMBER.match(raw):
        number = float(raw)
        if math.isfinite(number):
            return number
        raise LineError(f"unable to parse number {_shortened(raw)}: value out of range", line)
    hint = "; text stands in double quotes" if raw[0].isalpha() or raw[0] == "'" else ""
    raise LineError(("invalid boolean" if raw[0] in "tTfF" else "invalid number") + hint, line)


def _parse_time(raw: str, line: str, default_time_ns: int | None, precision: str) -> int | None:
    if not raw:
        return default_time_ns
    if not _INTEGER.match(raw):
        raise LineError("bad timestamp", line)
    time = _integer(raw)
    time_ns = None if time is None else time * PRECISION_NS[precision]
    if time_ns is None or not MIN_TIME_NS <= time_ns <= MAX_TIME_NS:
        # Mostly the time is in another unit than the sender says.
        raise LineError(f"time outside range, which in {precision} is {_range_in(precision)}", line)
    return time_ns


def _integer(digits: str) -> int | None:
    """None for so many digits that no 64 bits hold them, which Python may refuse to read."""
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _shortened(digits: str) -> str:
    return digits if len(digits) <= _MOST_DIGITS else f"{digits[:20]}... of {len(digits)} characters"


def _range_in(precision: str) -> str:
    unit = PRECISION_NS[precision]
    return f"{-(-MIN_TIME_NS // unit)} to {MAX_TIME_NS // unit}"


def _cut(text: str, separator: re.Pattern[str]) -> tuple[str, str, str]:
    """Split at the first separator; as `str.partition`."""
    found = separator.search(text)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")


def _cut_fields(text: str, line: str) -> tuple[list[str], str]:
    """Split `key=value,key=value time` into its fields and the time.

    A quote opens a string wherever a value is expected, and among fields a backslash hides the character behind it.
    """
    parts: list[str] = []
    quoted, in_value, start, end = False, False, 0, len(text)
    for mark in _MARKS.finditer(text):
        char = mark[0]
        if char == '"':
            quoted ^= in_value
        elif quoted:
            continue
        elif char == "=":
            if in_value:
                raise LineError("invalid field format", line)
            in_value = True
        elif char == ",":
            in_value = False
            parts.append(text[start : mark.start()])
            start = mark.end()
        elif char == " ":
            end = mark.start()
            break
    if quoted:
        raise LineError("unbalanced quotes", line)
    return [*parts, text[start:end]], text[end + 1 :]


def _unescape(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text) if "\\" in text else text


def _unescape_measurement(text: str) -> str:
    return re.sub(r"\\([, ])", r"\1", text) if "\\" in text else text
