"""The REST API as `streamswarm admin` uses it: pages are put together, problems become one line."""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from streamswarm_cli.admin.credentials import Credentials
from streamswarm_core.closing import Closing
from streamswarm_core.errors import ConfigError, Refused, Unavailable
from streamswarm_core.outbound import patience, trusted

SESSION_COOKIE: Final = "streamswarm_session"
CSRF_HEADER: Final = "X-CSRF-Token"
PAGE: Final = 200
_ID: Final = re.compile(r"[0-9a-f]{32}|\d+")


class UnusableError(ConfigError):
    """What was sent can't be used.

    Attributes:
        fields: path and complaint of each value that is at fault.
    """

    def __init__(self, line: str, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__(line)
        self.fields = fields


class Api(Closing):
    """A control plane, as whoever the credentials belong to."""

    def __init__(self, credentials: Credentials) -> None:
        headers, cookies = {}, {}
        if credentials.token:
            headers["Authorization"] = f"Bearer {credentials.token}"
        elif credentials.session:
            headers[CSRF_HEADER] = credentials.csrf
            cookies[SESSION_COOKIE] = credentials.session
        self.url = credentials.url
        self._lists: dict[str, list[dict[str, Any]]] = {}
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1", headers=headers, cookies=cookies, timeout=patience(60), verify=trusted()
        )

    def close(self) -> None:
        """Drop the connection."""
        self._http.close()

    def send(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> httpx.Response:
        """Ask once.

        Raises:
            ConfigError: the control plane refuses it; the message names the field.
            Refused: it says that nobody is logged in, or that this one may not.
            Unavailable: it can't be reached.
        """
        more = dict(headers or {})
        if method == "POST":
            more.setdefault("Idempotency-Key", str(uuid.uuid4()))
        try:
            answer = self._http.request(method, path, json=body, params=query, headers=more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self.url}: {str(error) or type(error).__name__}") from None
        if method != "GET":
            self._lists.pop(f"/{path.split('/')[1]}", None)
        if answer.is_success:
            return answer
        raise _refusal(answer)

    def get(self, path: str, **query: Any) -> Any:
        """One thing."""
        return self.send("GET", path, **query).json()

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """A whole list, page after page."""
        cursor: dict[str, Any] = {"limit": PAGE}
        while True:
            page = self.get(path, **query, **cursor)
            if isinstance(page, list):
                yield from page
                return
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            cursor["cursor"] = page["next_cursor"]

    def find(self, path: str, name: str, by: str) -> dict[str, Any]:
        """The thing with this id, or with this name.

        Raises:
            ConfigError: there is none, or there are several.
        """
        known = self._by_id(path, name)
        if known is not None:
            return known
        # Whoever names hundreds of agents reads their list once.
        if path not in self._lists:
            self._lists[path] = list(self.items(path))
        found = [item for item in self._lists[path] if name in {str(item.get("id")), str(item.get(by))}]
        exact = [item for item in found if str(item.get("id")) == name] or found
        noun = path.strip("/").replace("-", " ").removesuffix("s")
        if len(exact) > 1:
            ids = ", ".join(str(item["id"]) for item in exact)
            raise ConfigError(f"several {noun}s are called {name!r}; take an id: {ids}")
        if not exact:
            raise ConfigError(f"no {noun} with the {by} or id {name!r}")
        return exact[0]

    def _by_id(self, path: str, name: str) -> dict[str, Any] | None:
        """What has this id, without reading the whole list, which may leave out what is over."""
        if not _ID.fullmatch(name):
            return None
        try:
            found: dict[str, Any] = self.get(f"{path}/{name}")
        except ConfigError:
            return None
        return found


def _refusal(answer: httpx.Response) -> ConfigError | Refused | Unavailable:
    """A problem document (RFC 9457) as one line."""
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    detail = str(problem.get("detail") or problem.get("title") or f"HTTP {answer.status_code} {answer.reason_phrase}")
    errors = [(str(one.get("field", "")), str(one.get("message", ""))) for one in problem.get("errors", [])]
    if errors:
        fields = (f"{field.removeprefix('body.').removeprefix('query.')}: {message}" for field, message in errors)
        detail = "; ".join(dict.fromkeys(fields))
    line = " ".join(detail.split())
    if answer.status_code in {401, 403}:
        return Refused(line, status=answer.status_code)
    if answer.status_code >= 500:
        return Unavailable(f"{answer.request.url.copy_with(query=None)}: {line}")
    return UnusableError(line, [(field.removeprefix("body."), message) for field, message in errors])
