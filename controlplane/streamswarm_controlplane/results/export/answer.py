"""An export as an HTTP answer."""

import logging
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import chain
from typing import Final

from fastapi.responses import StreamingResponse

from streamswarm_controlplane.results.export.extract import Extract, Row, parts
from streamswarm_controlplane.results.export.formats import write_array, write_csv, write_lines
from streamswarm_controlplane.results.times import rfc3339
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.reader import Reader

_log = logging.getLogger(__name__)


class Format(StrEnum):
    """What an export can be."""

    CSV = "csv"
    LINES = "ndjson"
    ARRAY = "json"
    PARQUET = "parquet"


def _write_parquet(extract: Extract, parts: Iterable[list[Row]]) -> Iterator[bytes]:
    # pyarrow would be a third of a control plane's memory, and most never export a Parquet file.
    from streamswarm_controlplane.results.export.parquet import write_parquet  # noqa: PLC0415

    return write_parquet(extract, parts)


_MEDIA_TYPES: Final[Mapping[Format, str]] = {
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.LINES: "application/x-ndjson",
    Format.ARRAY: "application/json",
    Format.PARQUET: "application/vnd.apache.parquet",
}
_WRITERS: Final[Mapping[Format, Callable[[Extract, Iterable[list[Row]]], Iterator[bytes]]]] = {
    Format.CSV: write_csv,
    Format.LINES: write_lines,
    Format.ARRAY: write_array,
    Format.PARQUET: _write_parquet,
}


class ExportBrokenOffError(Exception):
    """The store failed half-way; the connection is closed without the end that a whole answer has."""


def export(
    reader: Reader, extract: Extract, wanted: Format, *, test: str, accept_encoding: str, units: bool = False
) -> StreamingResponse:
    """Stream an export; the first part is read before the answer begins, so that a store that fails is a problem.

    Raises:
        Unavailable: the store can't be reached.
        Refused: the store doesn't take the question.
    """
    found = parts(reader, extract)
    first = next(found, None)
    rows = chain([first] if first else [], found)
    pieces = write_csv(extract, rows, units=units) if wanted is Format.CSV else _WRITERS[wanted](extract, rows)
    headers = {
        "Content-Disposition": f'attachment; filename="{_filename(extract, wanted, test)}"',
        "Vary": "Accept-Encoding",
        "Cache-Control": "no-store",
    }
    if wanted is not Format.PARQUET and accepts_gzip(accept_encoding):
        headers["Content-Encoding"] = "gzip"
        pieces = _gzip(pieces)
    return StreamingResponse(_guarded(pieces, test), headers=headers, media_type=_MEDIA_TYPES[wanted])


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip (RFC 9110, section 12.5.3).

    >>> [accepts_gzip(one) for one in ("", "gzip, br", "gzip;q=0", "*", "GZIP;q=0.5", "gzip;q=0, *")]
    [False, True, False, True, True, False]
    """
    qualities: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, parameter = part.strip().partition(";")
        found = re.fullmatch(r"q=([01](?:\.\d{0,3})?)", parameter.strip())
        qualities[name.strip()] = float(found[1]) if found else 1.0
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _guarded(pieces: Iterator[bytes], test: str) -> Iterator[bytes]:
    try:
        yield from (piece for piece in pieces if piece)
    except (Unavailable, Refused) as error:
        _log.warning("export of the test %s broken off: %s", test, error)
        # The status is sent already. To end the body properly would make half a file look whole.
        raise ExportBrokenOffError(str(error)) from None


def _gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=31)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _filename(extract: Extract, wanted: Format, test: str) -> str:
    start, stop = (re.sub(r"[-:]|\.\d+", "", rfc3339(one)) for one in (extract.span.start_ns, extract.span.stop_ns))
    return f"{test}_{extract.selection.measurement.name}_{start}_{stop}.{wanted}"
