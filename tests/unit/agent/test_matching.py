import asyncio

import pytest

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.matching import first_found, first_missing, found, search
from streamswarm_core.patterns import is_quick

LONG = "<li>item</li>\n" * 5_000 + "the end"


async def test_quick_and_slow_searches_say_the_same() -> None:
    for pattern, quick in (
        ("item", True),
        ("it(e)m|(x)", True),
        ("it.*(m)<|(x)", False),
        ("(?:a|b+)*the (end)$", False),
    ):
        assert is_quick(pattern, len(LONG)) == quick
        one, none = await search(pattern, [LONG, ""])
        assert one is not None
        assert none is None
    assert await search("it.*(m)<|(x)", [LONG]) == [["item<", "m", None]]


async def test_the_first_million_characters_of_a_text_are_searched() -> None:
    assert await found("x", "a" * 999_999 + "x")
    assert not await found("x", "a" * 1_000_000 + "x")


async def test_patterns_are_found_in_any_of_the_texts() -> None:
    assert await found("b", "a", "b")
    assert not await found("b")
    assert await first_missing(["a", "c"], "a", "b") == "c"
    assert await first_found(["c", "b"], "a", "b") == "b"
    assert await first_missing([], "a") is await first_found([], "a") is None


@pytest.mark.parametrize(("pattern", "text"), [("(a+)+$", "a" * 60 + "!"), ("x.*x.*x.*y", "x" * 100_000)])
async def test_a_search_that_would_take_for_ever_is_stopped_and_the_agent_goes_on(pattern: str, text: str) -> None:
    turns = 0

    async def go_on() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    other = asyncio.create_task(go_on())
    with pytest.raises(ProbeFault, match="took more than 2 s") as stopped:
        await search(pattern, [text])
    other.cancel()
    assert stopped.value.fault is Fault.INTERNAL
    # In the same thread it would have had one turn, or two.
    assert turns > 10
