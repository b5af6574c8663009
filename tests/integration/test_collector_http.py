import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import httpx
import pytest

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.errors import ConfigError
from streamswarm_core.reader import InfluxQLReader
from streamswarm_core.writer import LineWriter
from tests.support import serve_app


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    settings = CollectorSettings(data=tmp_path, auth=False, max_body_bytes=10_000)
    with serve_app(create_app(settings, clock=lambda: 1_700_000_000_000_000_000)) as url:
        yield url


def query(url: str, statement: str, **parameters: str) -> httpx.Response:
    return httpx.get(f"{url}/query", params={"db": "streamswarm", "q": statement, "epoch": "ns", **parameters})


def test_what_our_writer_writes_our_reader_reads(url: str) -> None:
    with LineWriter(url, lambda: "", bucket="streamswarm") as writer:
        writer.write(b"m,h=a v=1.5 5\nm,h=b v=2.5 5\n")
    with InfluxQLReader(url, database="streamswarm") as reader:
        assert reader.measurements() == ["m"]
        assert reader.field_kinds("m") == {"v": "float"}
        assert [series.rows for series in reader.execute('SELECT v FROM m GROUP BY "h"')] == [[[5, 1.5]], [[5, 2.5]]]


def test_gzip_precision_and_missing_times_on_both_write_paths(url: str) -> None:
    body = gzip.compress(b"m v=1 7\nm v=2")
    first = httpx.post(
        f"{url}/api/v2/write?bucket=streamswarm&precision=s", content=body, headers={"Content-Encoding": "gzip"}
    )
    second = httpx.post(f"{url}/write?db=streamswarm&precision=ms", content=b"m v=3 9")
    assert (first.status_code, second.status_code) == (204, 204)
    (series,) = query(url, "SELECT v FROM m").json()["results"][0]["series"]
    assert series["values"] == [[9_000_000, 3], [7_000_000_000, 1], [1_700_000_000_000_000_000, 2]]


def test_a_partial_write_keeps_the_good_lines_and_names_the_others(url: str) -> None:
    answer = httpx.post(f"{url}/api/v2/write?bucket=streamswarm", content=b"m v=1 1\nm v=oops 2\nm v=3i 3\nm v=4 4")
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert message.startswith("partial write: line 2: unable to parse 'm v=oops 2'")
    assert "line 3: field type conflict" in message
    assert message.endswith("dropped=2")
    (series,) = query(url, "SELECT v FROM m").json()["results"][0]["series"]
    assert series["values"] == [[1, 1], [4, 4]]


@pytest.mark.parametrize("end", ["", "i", " 9", 'i,note="x"'])
def test_a_line_with_thousands_of_digits_takes_no_other_line_with_it(url: str, end: str) -> None:
    # It was a 500, so that Telegraf sent the same batch again for ever.
    body = f"m v=1 1\nm w={'9' * 5_000}{end}\nm v=4 4"
    answer = httpx.post(f"{url}/write?db=streamswarm", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("partial write: line 2: unable to parse")
    assert query(url, "SELECT v FROM m").json()["results"][0]["series"][0]["values"] == [[1, 1], [4, 4]]


@pytest.mark.parametrize("content", [b"m v=1 1\nm v=1i 2", b"m v=1i 2\nm v=1i 3", b"m time=1 1", b"m,time=1 v=1 1"])
def test_lines_that_were_understood_and_not_kept_are_called_a_partial_write(url: str, content: bytes) -> None:
    # Telegraf drops a batch if the answer says "partial write" or "unable to parse", else it sends it again for ever.
    httpx.post(f"{url}/write?db=streamswarm", content=b"m v=0 0").raise_for_status()
    answer = httpx.post(f"{url}/write?db=streamswarm", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("partial write: ")


@pytest.mark.parametrize("path", ["/write?db=streamswarm&precision=", "/api/v2/write?bucket=streamswarm&precision="])
def test_an_empty_precision_is_nanoseconds(url: str, path: str) -> None:
    httpx.post(url + path, content=b"m v=1 5").raise_for_status()
    assert query(url, "SELECT v FROM m").json()["results"][0]["series"][0]["values"] == [[5, 1]]


@pytest.mark.parametrize("odd", ["\0", "\x1b[31m", "\r", "é", "\x7f"])
def test_a_refusal_that_quotes_odd_characters_is_still_an_answer(url: str, odd: str) -> None:
    answer = httpx.post(f"{url}/write?db=streamswarm", content=f"m{odd}m".encode())
    assert answer.status_code == 400
    assert f"m{odd}m" in answer.json()["error"]
    assert answer.headers["X-Influxdb-Error"].startswith("line 1: unable to parse 'm")


def test_lines_that_can_not_be_read_hold_up_nobody_else(url: str) -> None:
    httpx.post(f"{url}/write?db=streamswarm", content=rb"m,t\\=1 v=1 1")
    httpx.post(f"{url}/write?db=streamswarm", content=b"m v=1 1").raise_for_status()
    assert query(url, "SELECT v FROM m").json()["results"][0]["series"][0]["values"] == [[1, 1]]


def test_writes_are_answered_while_a_long_query_is_read(url: str) -> None:
    httpx.post(f"{url}/write?db=streamswarm", content=b"m,host=a v=1 1")
    hosts = " OR ".join(f"host='{number}'" for number in range(20_000))
    asked = {"db": "streamswarm", "q": f"SELECT v FROM m WHERE {hosts} OR host = 'a'", "epoch": "ns"}
    written = 0
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(httpx.post, f"{url}/query", data=asked, timeout=60)
        while not answer.done():
            httpx.post(f"{url}/write?db=streamswarm", content=b"other v=1 1").raise_for_status()
            written += 1
    assert written >= 10
    assert answer.result().json()["results"][0]["series"][0]["values"] == [[1, 1]]


def test_a_query_of_a_megabyte_is_told_what_to_do(url: str) -> None:
    answer = httpx.post(f"{url}/query", data={"db": "streamswarm", "q": "SELECT v FROM m" + " " * 1_000_000})
    assert (answer.status_code, answer.json()["error"]) == (
        413,
        "the form is larger than 1000000 bytes; ask in several requests",
    )


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "words"),
    [
        ("/api/v2/write", b"m v=1", {}, 400, "bucket is missing"),
        ("/write", b"m v=1", {}, 400, "db is missing"),
        ("/api/v2/write?bucket=x&precision=day", b"m v=1", {}, 400, "one of ns, us, ms, s, m, h"),
        ("/write?db=x&precision=s", b"m v=1 1700000000000", {}, 400, "which in s is -9223372036 to 9223372036"),
        ("/write?db=x", b"m v=up", {}, 400, "invalid number; text stands in double quotes"),
        ("/api/v2/write?bucket=x", b"no gzip", {"Content-Encoding": "gzip"}, 400, "not valid gzip"),
        ("/api/v2/write?bucket=x", b"m\xff v=1", {}, 400, "not UTF-8"),
        ("/api/v2/write?bucket=x", b"m v=1 1\n" * 2000, {}, 413, "larger than 10000 bytes"),
        (
            "/api/v2/write?bucket=x",
            gzip.compress(b"\n" * 9_000_000, mtime=0),
            {"Content-Encoding": "gzip"},
            413,
            "larger",
        ),
    ],
)
def test_a_bad_request_says_what_is_wrong(
    url: str, path: str, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = httpx.post(url + path, content=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.text


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"q": ""}, 'missing required parameter \\"q\\"'),
        ({"q": "SELECT v FROM m", "epoch": "eons"}, "one of ns, u, ms"),
        ({"q": "SELECT v FROM m", "params": "[]"}, "not a JSON object"),
        ({"q": "SELECT v FROM m", "params": "[" * 100_000}, "not a JSON object"),
        ({"q": "SELECT v FROM m", "chunked": "true", "chunk_size": "9" * 5_000}, "invalid chunk_size"),
        ({"q": "SELECT v INTO copy FROM m"}, "found INTO, expected AND, AS, FROM"),
        ({"q": "SELECT v FROM m tz('Nowhere')"}, "unable to find time zone Nowhere"),
        ({"q": "SELECT v FROM m", "chunked": "true", "chunk_size": "0"}, "invalid chunk_size"),
    ],
)
def test_a_query_that_is_not_understood_names_the_part(url: str, parameters: dict[str, str], words: str) -> None:
    httpx.post(f"{url}/write?db=streamswarm", content=b"m v=1 1").raise_for_status()
    answer = httpx.post(f"{url}/query", data={"db": "streamswarm", **parameters})
    assert answer.status_code == 400
    assert words in answer.text


def test_a_function_that_is_not_known_is_an_error_of_its_statement(url: str) -> None:
    httpx.post(f"{url}/write?db=streamswarm", content=b"m v=1 1").raise_for_status()
    results = query(url, "SELECT holt_winters(v) FROM m; SELECT v FROM m").json()["results"]
    assert results[0]["error"] == "undefined function holt_winters()"
    assert results[1]["series"][0]["values"] == [[1, 1]]


@pytest.mark.parametrize("column", ["mode(s) + 2", "2 * last(s)", "-first(s)", "abs(last(s))", "difference(last(s))"])
def test_text_that_is_calculated_with_is_an_error_of_its_statement(url: str, column: str) -> None:
    httpx.post(f"{url}/write?db=streamswarm", content=b'm s="a",v=1 1\nm s="b",v=2 2').raise_for_status()
    window = " WHERE time >= 0 AND time < 4 GROUP BY time(2ns)" if "difference" in column else ""
    results = query(url, f"SELECT {column} FROM m{window}; SELECT count(s) * 2 FROM m").json()["results"]
    assert "can't be calculated with" in results[0]["error"]
    assert results[1]["series"][0]["values"] == [[0, 4]]


@pytest.mark.parametrize(
    ("path", "key"),
    [("/", "error"), ("/debug/vars", "error"), ("/api/v2/query", "message"), ("/api/v3/write_lp", "message")],
)
def test_what_is_not_there_says_what_is(url: str, path: str, key: str) -> None:
    answer = httpx.post(url + path, content=b"x")
    assert answer.status_code == 404
    assert answer.json()[key].startswith(f"there is no {path}; there are /write and /api/v2/write")


@pytest.mark.parametrize(
    ("method", "path", "allowed", "key"),
    [
        ("PUT", "/query", "GET, POST", "error"),
        ("GET", "/write", "POST", "error"),
        ("DELETE", "/api/v2/write", "POST", "message"),
        ("POST", "/ping", "GET, HEAD", "error"),
    ],
)
def test_a_method_that_is_not_answered_is_told_which_is(
    url: str, method: str, path: str, allowed: str, key: str
) -> None:
    answer = httpx.request(method, url + path)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) >= set(allowed.split(", "))
    assert answer.json()[key] == f"{method} {path} is not answered; {answer.headers['Allow']} is"


def test_who_asks_while_the_collector_is_stopped_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamswarm_core.serve.STOP_SECONDS", 1)
    hosts = " OR ".join(f"host='{number}'" for number in range(20_000))
    settings = CollectorSettings(data=tmp_path, auth=False)
    with ThreadPoolExecutor(3) as threads:
        with serve_app(create_app(settings)) as url:
            httpx.post(f"{url}/write?db=streamswarm", content=b"m,host=a v=1 1").raise_for_status()
            asked = [
                {"db": "streamswarm", "q": f"SELECT v FROM m WHERE {hosts} OR host = '{name}'"}
                for name in ("a", "b", "c")
            ]
            answers = [threads.submit(httpx.post, f"{url}/query", data=one, timeout=60) for one in asked]
            sleep(0.5)  # until they have come
        statuses = {answer.result().status_code for answer in answers}
        stopped = [answer.result().json() for answer in answers if answer.result().status_code == 503]
    assert statuses <= {200, 503}
    assert {one["error"] for one in stopped} == {"the collector is being stopped; ask again in a moment"}


def test_ping_health_and_metrics_are_answered(url: str) -> None:
    httpx.post(f"{url}/write?db=streamswarm", content=b"m v=1 1\nm v=x 1")
    ping = httpx.get(f"{url}/ping")
    assert (ping.status_code, ping.headers["X-Influxdb-Version"]) == (204, "1.8.10")
    assert httpx.get(f"{url}/ping?verbose=true").json() == {"version": "1.8.10"}
    assert httpx.get(f"{url}/health").json()["status"] == "pass"
    metrics = httpx.get(f"{url}/metrics").text
    assert "streamswarm_collector_points_total 1.0" in metrics
    assert 'streamswarm_collector_refused_lines_total{reason="syntax"} 1.0' in metrics


def test_without_a_token_nothing_is_written_or_read(tmp_path: Path) -> None:
    with serve_app(create_app(CollectorSettings(data=tmp_path))) as url:
        assert httpx.post(f"{url}/api/v2/write?bucket=streamswarm", content=b"m v=1").status_code == 401
        assert httpx.get(f"{url}/query?db=streamswarm&q=SHOW+DATABASES").status_code == 401


def test_authentication_can_be_off_on_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="loopback"):
        CollectorSettings(data=tmp_path, auth=False, host="0.0.0.0")  # noqa: S104


def test_a_full_log_tells_senders_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamswarm_collector.wal.Wal.size", 10**12)
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False))) as url:
        answer = httpx.post(f"{url}/write?db=streamswarm", content=b"m v=1 1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")


def test_a_data_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="STREAMSWARM_DATA"):
        create_app(CollectorSettings(data=tmp_path / "file", auth=False))
