"""What every refusal of the API looks like (RFC 9457)."""

from typing import Any

import httpx


def is_problem(answer: httpx.Response, status: int, field: str = "") -> dict[str, Any]:
    """The body of an answer that has to be a problem document, with this one field at fault if it is named."""
    body: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"]) == (status, status), body
    assert body["title"]
    assert body["detail"]
    if field:
        assert [error["field"] for error in body["errors"]] == [field]
    return body
