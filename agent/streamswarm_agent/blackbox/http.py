from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from streamswarm_agent.blackbox.config import HeaderMatch, HttpProber, ModuleConfig
from streamswarm_agent.blackbox.running import Job, choose
from streamswarm_agent.matching import found
from streamswarm_agent.net.http.client import host_of
from streamswarm_agent.net.http.exchange import Answer
from streamswarm_agent.probes.http import HttpRun, is_redirect, measure_http
from streamswarm_core.probespecs import HttpParams

_MOST_REDIRECTS: Final = 10
_LONGEST_WAIT: Final = 60.0
_BY_PATTERN: Final = frozenset({"body", "header"})


class HttpModule:
    """The prober http: one request with its redirects."""

    def __init__(self, config: ModuleConfig) -> None:
        self.timeout = config.timeout
        self._prober = config.http
        self._params = HttpParams.model_validate(_options(config.http))

    async def run(self, job: Job) -> bool:
        """See Module."""
        url = job.target if job.target.startswith(("http://", "https://")) else f"http://{job.target}"
        run = HttpRun({}, url)
        success = False
        try:
            _, family = await choose(job, host_of(urlsplit(url)), 0, self._prober)
            asking: dict[str, Any] = {"wait": min(job.wait, _LONGEST_WAIT), "family": family}
            if job.hostname:
                asking["headers"] = {**self._params.headers, "Host": job.hostname}
                asking["server_name"] = self._params.server_name or job.hostname
            run = await measure_http(url, self._params.model_copy(update=asking), job.context)
            job.detail = str(run.fields.get("error_detail", ""))
            success = bool(run.fields["up"]) and await self._as_expected(job, run)
        except ValueError as error:
            job.detail = str(error)
        finally:
            self._export(job, run)
        return success

    async def _as_expected(self, job: Job, run: HttpRun) -> bool:
        assert run.answer is not None  # noqa: S101 - it is up
        for rule, unwanted in (
            *((rule, True) for rule in self._prober.fail_if_header_matches),
            *((rule, False) for rule in self._prober.fail_if_header_not_matches),
        ):
            if await _breaks(run.answer, rule, unwanted=unwanted):
                run.failed_check = "header"
                job.detail = f"the header {rule.header} and {rule.regexp!r}"
                return False
        if self._prober.body_size_limit and run.answer.body.cut:
            job.detail = f"the body is larger than {self._prober.body_size_limit} bytes"
            return False
        return True

    def _export(self, job: Job, run: HttpRun) -> None:
        follows = bool(self._params.follow_redirects)
        page, fields, phases, answer = job.page, run.fields, run.phases, run.answer
        answered = answer is not None and answer.status is not None
        page.phases(
            "probe_http_duration_seconds",
            "Duration of http request by phase, summed over all redirects",
            {
                "resolve": phases.resolve,
                "connect": phases.connect,
                "tls": phases.tls,
                "processing": sum(filter(None, (phases.request, phases.first_byte))),
                "transfer": phases.transfer,
            },
        )
        page.gauge("probe_http_status_code", "Response HTTP status code", float(fields.get("status") or 0))
        # One that is not followed counts, too.
        redirects = run.redirects + (not follows and answer is not None and is_redirect(answer))
        page.gauge("probe_http_redirects", "The number of redirects", redirects)
        length = fields.get("content_length", -1) if answered else 0
        page.gauge(
            "probe_http_content_length", "Length of http content response", -1 if length is None else float(length)
        )
        page.gauge(
            "probe_http_uncompressed_body_length",
            "Length of uncompressed response body",
            min(float(fields.get("decoded") or 0), float(self._params.max_body)),
        )
        version = float(str(fields.get("protocol") or "HTTP/0").partition("/")[2])
        page.gauge("probe_http_version", "Returns the version of HTTP of the probe response", version)
        secure = answered and run.url is not None and run.url.scheme == "https"
        page.gauge("probe_http_ssl", "Indicates if SSL was used for the final redirect", int(secure))
        page.failed_due_to_regex(failed=run.failed_check in _BY_PATTERN)
        page.tls(run.peer)
        if answer is not None:
            page.last_modified(answer)


def _options(prober: HttpProber) -> dict[str, Any]:
    """The same in the words of our http probe.

    Raises:
        ValueError: a file with a secret can't be read.
    """
    options: dict[str, Any] = {
        "method": prober.method,
        "headers": prober.headers,
        "body": prober.body,
        "http2": prober.enable_http2,
        "compression": prober.compression in {"gzip", "deflate", "br"},
        "follow_redirects": _MOST_REDIRECTS if prober.follow_redirects and not prober.no_follow_redirects else 0,
        "verify_tls": not prober.tls_config.insecure_skip_verify,
        "ca_file": str(prober.tls_config.ca_file) if prober.tls_config.ca_file else None,
        "certificate_file": str(prober.tls_config.cert_file) if prober.tls_config.cert_file else None,
        "certificate_key_file": str(prober.tls_config.key_file) if prober.tls_config.key_file else None,
        "server_name": prober.tls_config.server_name or None,
        "expect_status": prober.valid_status_codes,
        "expect_protocols": [version.replace("HTTP/2.0", "HTTP/2") for version in prober.valid_http_versions],
        "body_matches": prober.fail_if_body_not_matches_regexp,
        "body_lacks": prober.fail_if_body_matches_regexp,
        "bearer_token": _secret(prober.bearer_token, prober.bearer_token_file),
    }
    if prober.body_size_limit:
        options["max_body"] = prober.body_size_limit
    if prober.fail_if_ssl or prober.fail_if_not_ssl:
        options["expect_tls"] = prober.fail_if_not_ssl
    if prober.basic_auth is not None:
        options["username"] = prober.basic_auth.username
        options["password"] = _secret(prober.basic_auth.password, prober.basic_auth.password_file)
    return options


def _secret(given: SecretStr, file: Any) -> SecretStr:
    if file is None:
        return given
    try:
        return SecretStr(file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None


async def _breaks(answer: Answer, rule: HeaderMatch, *, unwanted: bool) -> bool:
    values = answer.values(rule.header)
    if not values:
        return not rule.allow_missing
    return await found(rule.regexp, *values) == unwanted
