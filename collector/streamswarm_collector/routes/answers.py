"""Errors as each kind of client expects them: InfluxDB 1.x, InfluxDB 2.x."""

import re
from typing import Any, Final

from starlette.responses import JSONResponse, Response

_V2_CODES: Final = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    405: "method not allowed",
    408: "request timeout",
    413: "request too large",
    415: "unsupported media type",
    429: "too many requests",
    503: "unavailable",
}
# The message quotes the sender's line, which may hold anything; a header may hold printable ASCII only.
_NO_HEADER_CHARACTER: Final = re.compile(r"[^ -~]")


def refuse(status: int, message: str, *, v2: bool, retry_after: float | None = None) -> Response:
    """An error answer in InfluxDB's form.

    Args:
        status: HTTP status code.
        message: for a person.
        v2: whether the client speaks the 2.x API.
        retry_after: seconds to wait before the same request may succeed.
    """
    headers = {"X-Influxdb-Error": _NO_HEADER_CHARACTER.sub("?", message.replace("\n", " "))[:500]}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Token realm="streamswarm"'
    body: dict[str, Any] = {"code": _V2_CODES.get(status, "invalid"), "message": message} if v2 else {"error": message}
    return JSONResponse(body, status_code=status, headers=headers)
