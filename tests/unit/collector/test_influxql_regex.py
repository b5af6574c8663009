"""Regular expressions mean what they mean to InfluxDB, and none of them keeps the collector from its work."""

import subprocess
import sys

import pytest

from streamswarm_collector.influxql import ast, regex
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_collector.influxql.parser import parse
from streamswarm_collector.store.embedded import EmbeddedStore
from tests.unit.collector.conftest import Write

TEXTS = ("", "3", "٣", "Äpfel", "a.b", "[x]", "two words")
FREEZING = """
from streamswarm_collector.influxql.ast import Regex
print(Regex("^(a+)+$").among(["a" * 64 + "!", "aaa"]))
"""


def test_an_expression_that_backtracks_for_years_elsewhere_is_answered() -> None:
    # In a process of its own: Python's own `re` could not even be interrupted.
    done = subprocess.run([sys.executable, "-c", FREEZING], capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
    assert done.stdout == "frozenset({'aaa'})\n"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("[[:digit:]]", {"3"}),
        (r"^\d$", {"3"}),
        (r"\pL", {"Äpfel", "a.b", "[x]", "two words"}),
        (r"^\p{L}+$", {"Äpfel"}),
        (r"a\.b\z", {"a.b"}),
        (r"\Qa.b\E", {"a.b"}),
        ("(?i)äPFEL", {"Äpfel"}),
        ("^$", {""}),
        ("", set(TEXTS)),
        ("a{,3}", set()),
    ],
)
def test_an_expression_finds_what_it_finds_in_influxdb(pattern: str, found: set[str]) -> None:
    (statement,) = parse(f"SELECT v FROM m WHERE host =~ /{pattern}/")
    assert isinstance(statement, ast.Select)
    assert isinstance(statement.where, ast.Binary)
    assert isinstance(statement.where.right, ast.Regex)
    assert statement.where.right.among(TEXTS) == found
    assert {text for text in TEXTS if statement.where.right.matches(text)} == found


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "^$",
        "^(a|b)$",
        "^(web|db)-1",
        "a.*b$",
        r"^a\.b$",
        ".+",
        "^.$",
        "(a|b)(c|)",
        "a$|b",
        "x^",
        "a,b:c@d=e/f",
        "ä",
    ],
)
def test_what_python_answers_is_what_re2_answers(pattern: str) -> None:
    texts = [*TEXTS, "a", "b", "a\n", "b\na", "ab", "xaab\n", "web-1", "db-12", "a,b:c@d=e/f", "ac", "\n", "a\rb"]
    assert regex._plain(pattern) is not None
    found = {text for text, is_found in zip(texts, regex._answers(pattern, texts), strict=True) if is_found}
    assert regex.matching(pattern, texts) == found
    assert {text for text in texts if regex.matches(pattern, text)} == found


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*", ".*.*.*x", "a{3}", r"\d", "[[:digit:]]", "(?i)a", "a??", "("])
def test_what_could_be_slow_or_mean_something_else_is_left_to_re2(pattern: str) -> None:
    assert regex._plain(pattern) is None


@pytest.mark.parametrize("pattern", ["[", "(?=a)", r"(a)\1", "a++", "(?>a)"])
def test_what_influxdb_does_not_understand_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ParseError, match=r"invalid regular expression /.*/: \w+"):
        parse(f"SELECT v FROM m WHERE host =~ /{pattern}/")


@pytest.mark.parametrize("sign", ["=~", "!~"])
def test_a_regular_expression_can_be_a_bound_parameter(store: EmbeddedStore, write: Write, sign: str) -> None:
    write("m,host=web1 v=1 1\nm,host=db v=2 1")
    engine = Engine(store)
    bound = engine.execute(f"SELECT v FROM m WHERE host {sign} $h", database="d", params={"h": {"regex": "^web"}})
    written = engine.execute(f"SELECT v FROM m WHERE host {sign} /^web/", database="d")
    assert bound == written
    assert len(written.body["results"][0]["series"]) == 1


def test_text_is_no_regular_expression() -> None:
    with pytest.raises(ParseError, match=r'=~ takes a parameter of the form {"regex": "…"}'):
        parse("SELECT v FROM m WHERE host =~ $h", {"h": "^web"})
