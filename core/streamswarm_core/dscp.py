"""Names of code points: RFC 2474 (CS), RFC 2597 (AF), RFC 3246 (EF), RFC 5865 (VA), RFC 8622 (LE)."""

from typing import Final

_ASSURED: Final = {f"AF{group}{drop}": group << 3 | drop << 1 for group in range(1, 5) for drop in range(1, 4)}
DSCP_NAMES: Final[dict[str, int]] = {
    "BE": 0,
    "LE": 1,
    **{f"CS{group}": group << 3 for group in range(1, 8)},
    **_ASSURED,
    "VA": 44,
    "EF": 46,
}
"""Values by name; BE, best effort, is also CS0 and DF."""

_SYNONYMS: Final = {"DF": 0, "CS0": 0}
_BY_VALUE: Final = {value: name for name, value in DSCP_NAMES.items()}


def parse_dscp(written: str | int) -> int:
    """Read a name or a number.

    Raises:
        ValueError: it is neither.

    >>> parse_dscp("AF41"), parse_dscp("ef"), parse_dscp("46")
    (34, 46, 46)
    """
    text = str(written).strip().upper()
    value = DSCP_NAMES.get(text, _SYNONYMS.get(text))
    if value is None and text.isdecimal():
        value = int(text)
    if value is None or value > 63:
        raise ValueError(f"{written!r} is no DSCP: a number from 0 to 63 or one of {', '.join(DSCP_NAMES)}")
    return value


def dscp_name(value: int) -> str:
    """The name of a value; the number itself where it has none.

    >>> dscp_name(46), dscp_name(5)
    ('EF', '5')
    """
    return _BY_VALUE.get(value, str(value))
