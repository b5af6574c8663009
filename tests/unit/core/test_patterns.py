import pytest

from streamswarm_core.patterns import check_pattern, is_quick


@pytest.mark.parametrize("pattern", ["^ok$", ".*ready.*", "(a+)+", "(?:GET|POST) +/"])
def test_a_pattern_is_taken_as_it_is(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<1>a)", "a{99999999999}"])
def test_what_is_no_pattern_says_so(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no regular expression"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|b*)*", "(?:x?y){3,9}", "(?=(a{1,9})*)b", "((a*+)b)+"])
def test_repeats_inside_repeats_are_never_quick(pattern: str) -> None:
    assert not is_quick(pattern, 1)


@pytest.mark.parametrize(
    ("pattern", "longest"), [("hello|world", 10_000_000), ("a+", 3162), ("a.*b.*", 215), ("[a-z]{2,9}b?c*", 56)]
)
def test_how_long_a_text_may_be_depends_on_the_repeats_beside_each_other(pattern: str, longest: int) -> None:
    assert is_quick(pattern, longest)
    assert not is_quick(pattern, longest + 1)
