"""What Telegraf's outputs send is answered as they expect.

Debian has no Telegraf. The requests are those of `plugins/outputs/influxdb/http.go` (commit 0182f1bdaed6, v1.33) and
`plugins/outputs/influxdb_v2/http.go` (commit 01b9116edcaf, v1.36) of github.com/influxdata/telegraf; what an answer
means to Telegraf is written at each test.
"""

import gzip
import uuid

import httpx
import pytest

from tests.compat.conftest import Server

pytestmark = pytest.mark.xdist_group("compat")

# One flush as Telegraf serialises it: sorted tags, unsorted fields, integers with i, booleans as words, nanoseconds.
METRICS = b"""\
cpu,cpu=cpu-total,host=edge-1 usage_user=1.5075376884417995,usage_idle=97.98994974874372 1700000000000000000
mem,host=edge-1 total=16656920576i,used_percent=23.1,buffered=0i 1700000000000000000
disk,device=vda1,fstype=ext4,host=edge-1,mode=rw,path=/ free=31138521088i,inodes_used=170000i 1700000000000000000
system,host=edge-1 uptime_format="12 days, 21:04",load1=0.03,n_users=1i 1700000000000000000
win_service,display_name=Windows\\ Update,host=edge-1 state=4i,delayed=false 1700000000000000000
"""
AGENT = {"User-Agent": "Telegraf/1.36.1 Go/1.25.1", "Accept-Encoding": "gzip"}
WRITE = AGENT | {"Content-Type": "text/plain; charset=utf-8"}


def v1_write(
    server: Server, database: str, body: bytes, *, compressed: bool = True, **parameters: str
) -> httpx.Response:
    """`writeBatch` of the output `influxdb`; `content_encoding = "gzip"` is its default."""
    return httpx.post(
        f"{server.url}/write",
        params={"db": database, **parameters},
        content=gzip.compress(body) if compressed else body,
        headers=WRITE | ({"Content-Encoding": "gzip"} if compressed else {}),
        auth=("telegraf", server.token),
    )


def v2_write(server: Server, bucket: str, body: bytes, *, token: str | None = None) -> httpx.Response:
    """`writeBatch` of the output `influxdb_v2`."""
    return httpx.post(
        f"{server.url}/api/v2/write",
        params={"bucket": bucket, "org": "network operations"},
        content=gzip.compress(body),
        headers=WRITE
        | {"Content-Encoding": "gzip", "Authorization": f"Token {server.token if token is None else token}"},
    )


def stored(server: Server, database: str) -> dict[str, list[object]]:
    (result,) = server.results(database, "SELECT * FROM /.*/")
    return {series["name"]: series["values"][0] for series in result["series"]}


def test_the_database_is_created_before_the_first_write(server: Server) -> None:
    name = f"telegraf {uuid.uuid4().hex[:8]}"
    answer = httpx.post(
        f"{server.url}/query",
        content=f"q=CREATE+DATABASE+%22{name.replace(' ', '+')}%22".encode(),
        headers=AGENT | {"Content-Type": "application/x-www-form-urlencoded"},
        auth=("telegraf", server.token),
    )
    # Telegraf takes 200 without results[0].error for success.
    assert answer.status_code == 200
    assert "error" not in answer.json()["results"][0]
    assert v1_write(server, name, METRICS).status_code == 204


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("parameters", [{}, {"rp": "autogen", "consistency": "any"}], ids=["plain", "policy"])
def test_a_flush_is_stored(server: Server, database: str, parameters: dict[str, str], compressed: bool) -> None:
    answer = v1_write(server, database, METRICS, compressed=compressed, **parameters)
    assert (answer.status_code, answer.content) == (204, b"")
    found = stored(server, database)
    assert set(found) == {"cpu", "mem", "disk", "system", "win_service"}
    assert "Windows Update" in found["win_service"]
    assert "12 days, 21:04" in found["system"]
    assert 16_656_920_576 in found["mem"]
    assert False in found["win_service"]


def test_the_2x_output_stores_the_same(collector: Server, database: str) -> None:
    v1_write(collector, database, METRICS).raise_for_status()
    answer = v2_write(collector, f"{database}_2", METRICS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert stored(collector, f"{database}_2") == stored(collector, database)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"cpu value=oops 1700000000000000001\n", "unable to parse"),
        (b'cpu value="text" 1700000000000000001\n', "partial write"),
        (b'cpu value="text" 1700000000000000001\ncpu value=2 1700000000000000002\n', "partial write"),
        (b"cpu value=oops 1700000000000000001\ncpu value=2 1700000000000000002\n", "partial write"),
    ],
    ids=["syntax", "type", "type and good", "syntax and good"],
)
def test_lines_that_will_never_fit_are_not_asked_for_again(
    server: Server, database: str, body: bytes, words: str
) -> None:
    # Telegraf drops the batch on these words; older ones send a batch again for ever on any other error.
    v1_write(server, database, b"cpu value=1 1700000000000000000\n").raise_for_status()
    answer = v1_write(server, database, body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_the_2x_output_is_told_to_drop_lines_that_will_never_fit(collector: Server, database: str) -> None:
    # 400 drops the batch, and the log shows `code: message`.
    v2_write(collector, database, b"cpu value=1 1\n").raise_for_status()
    answer = v2_write(collector, database, b"cpu value=t 2\n")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert "field type conflict" in answer.json()["message"]


def test_a_refused_token_makes_the_2x_output_keep_the_batch(collector: Server, database: str) -> None:
    assert v2_write(collector, database, METRICS, token="un.kno.wn").status_code == 401


def test_a_control_plane_that_is_away_makes_the_2x_output_wait(collector: Server, database: str) -> None:
    # 429, 502, 503 and 504 keep the batch for as long as Retry-After says. A static token has to be introspected.
    answer = v2_write(collector, database, METRICS, token="sst_static")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_a_body_that_is_too_large_is_split_by_the_2x_output(collector: Server, database: str) -> None:
    # 413 halves the batch and sends both halves.
    assert v2_write(collector, database, b"m v=1\n" * 5_000_000).status_code == 413
