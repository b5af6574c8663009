import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_core.gnmipath import Element, GnmiPath, parse_path

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
KEYS = st.dictionaries(TEXTS, st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3)
ELEMENTS = st.builds(lambda name, keys: Element(name, tuple(sorted(keys.items()))), TEXTS, KEYS)
PATHS = st.builds(
    GnmiPath, st.lists(ELEMENTS, max_size=5).map(tuple), st.from_regex(r"([a-z][a-z0-9._-]{0,10})?", fullmatch=True)
)


def assert_read_or_refused(text: str) -> None:
    refused = ""
    try:
        path = parse_path(text)
    except ValueError as error:
        refused = str(error)
    assert (
        re.fullmatch(r"is no gNMI path: .*, at character \d+ of .*", refused, re.DOTALL)
        if refused
        else (parse_path(str(path)) == path)
    )


@given(PATHS)
def test_what_was_written_is_read_as_the_same(path: GnmiPath) -> None:
    assert parse_path(str(path)) == path


@given(st.text(max_size=40))
def test_any_text_is_a_path_or_is_refused_with_a_reason(text: str) -> None:
    assert_read_or_refused(text)


@given(st.lists(st.sampled_from("/[]=\\:*abc"), max_size=20).map("".join))
def test_any_mixture_of_special_characters_is_a_path_or_is_refused(text: str) -> None:
    assert_read_or_refused(text)


@given(PATHS, PATHS)
def test_a_path_covers_itself_and_what_is_below(path: GnmiPath, further: GnmiPath) -> None:
    assert path.covers(path)
    assert path.covers(GnmiPath(path.elements + further.elements))


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("/", ()),
        ("", ()),
        ("/a/b", (Element("a"), Element("b"))),
        ("a/b", (Element("a"), Element("b"))),
        ("/if[name=Ethernet1/2]/x", (Element("if", (("name", "Ethernet1/2"),)), Element("x"))),
        ("/a[k=v=w]", (Element("a", (("k", "v=w"),)),)),
        ("/a[k=]", (Element("a", (("k", ""),)),)),
        ("/r[b=2][a=1]", (Element("r", (("a", "1"), ("b", "2"))),)),
        ("/oc-if:interfaces", (Element("oc-if:interfaces"),)),
    ],
)
def test_paths_as_devices_documentation_has_them(text: str, elements: tuple[Element, ...]) -> None:
    assert parse_path(text) == GnmiPath(elements)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/a//b", "takes a name, at character 4"),
        ("/a[k", "takes [key=value], at character 5"),
        ("/a[=v]", "takes [key=value]"),
        ("/a[k=v", "takes a ] that ends the key"),
        ("/a[k=v]b", "takes a / or [ after ], at character 8"),
        ("/a[k=v][k=w]", "has the key k twice"),
        ("/a]", "takes no ] here"),
        ("/a\\", "ends with a backslash"),
    ],
)
def test_what_is_no_path_says_where_it_ceases_to_be_one(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="is no gNMI path") as caught:
        parse_path(text)
    assert reason in str(caught.value)


def test_a_star_stands_for_any_name_and_any_key() -> None:
    pattern = parse_path("/interfaces/interface[name=*]/*/counters")
    assert pattern.covers(parse_path("/interfaces/interface[name=eth0]/state/counters/in-octets"))
    assert not pattern.covers(parse_path("/interfaces/interface[name=eth0]/state/oper-status"))
    assert not parse_path("/a[k=1]").covers(parse_path("/a[k=2]"))
