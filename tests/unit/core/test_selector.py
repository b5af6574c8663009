import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_core.selector import SelectorError, parse_selector

BERLIN = {"agent": "berlin-1", "site": "berlin", "role": "edge", "provider": "Acme Ltd, Berlin"}
LAB = {"agent": "lab-1", "site": "", "lab": "yes"}


@pytest.mark.parametrize(
    ("selector", "berlin", "lab"),
    [
        ("site=berlin", True, False),
        ("site==berlin", True, False),
        ("site = berlin , role = edge", True, False),
        ("site=berlin,role=core", False, False),
        ("role!=edge", False, True),
        ("role in (edge,core)", True, False),
        ("role in ( core )", False, False),
        ("role notin (edge)", False, True),
        ("lab", False, True),
        ("!lab", True, False),
        ("! lab", True, False),
        ("agent", True, True),
        ("agent in (berlin-1,lab-1)", True, True),
        ("site=berlin,role in (edge,core),!lab", True, False),
        ("in in (in)", False, False),
        ("notin=in", False, False),
        ('provider="Acme Ltd, Berlin"', True, False),
        ('role in ("edge", core)', True, False),
        ('site=""', False, True),
    ],
)
def test_selectors_match_as_in_kubernetes(selector: str, berlin: bool, lab: bool) -> None:
    parsed = parse_selector(selector)
    assert (parsed.matches(BERLIN), parsed.matches(LAB)) == (berlin, lab)


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("", "a label's name, such as site at the end"),
        ("   ", "at the end"),
        ("site=", "a value at the end"),
        ("site=berlin,", "at the end"),
        (",site", r"at character 1 \(','\)"),
        ("site berlin", r"a comma, =, !=, in or notin at character 6 \('berlin'\)"),
        ("site in berlin", "a list of values in brackets"),
        ("site in (berlin", "a comma or a closing bracket at the end"),
        ("site in ()", r"a value at character 10 \('\)'\)"),
        ("site=a=b", r"at character 7 \('='\)"),
        ("site=(a)", "a value at character 6"),
        ("-site", "no mark at either end"),
        ("site=a*", "letters, digits"),
        ("x" * 64, "at most 63"),
        ("a," * 600, "at most 1000 characters"),
        ("!", "a label's name at the end"),
        ("!!a", "at character 2"),
        ('site="berlin', "a value at character 6"),
        ('"site"=berlin', "a label's name"),
    ],
)
def test_a_selector_that_can_not_be_read_says_where_and_what_would_be_accepted(selector: str, said: str) -> None:
    with pytest.raises(SelectorError, match=said):
        parse_selector(selector)


@given(st.text(max_size=60))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    try:
        selector = parse_selector(text)
    except SelectorError:
        return
    assert selector.terms
    selector.matches(BERLIN)


names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)


@given(names, st.frozensets(names, min_size=1, max_size=4), st.dictionaries(names, names, max_size=4))
def test_in_and_notin_are_opposites(key: str, values: frozenset[str], labels: dict[str, str]) -> None:
    listed = ",".join(sorted(values))
    within, without = parse_selector(f"{key} in ({listed})"), parse_selector(f"{key} notin ({listed})")
    assert within.matches(labels) == (labels.get(key) in values)
    assert within.matches(labels) != without.matches(labels)
