from collections.abc import Sequence

from streamswarm_agent.net.path.memory import Change, Comparison, PathMemory, path_hash

A, B, C, D, TARGET = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.9"


def see(memory: PathMemory, *path: str | None, reached: bool = True, also: Sequence[set[str]] = ()) -> Comparison:
    beside = [*also, *[set[str]()] * len(path)]
    seen = [({address} if address else set()) | more for address, more in zip(path, beside, strict=False)]
    return memory.compare(path, seen, reached=reached)


def test_the_first_path_has_nothing_to_differ_from() -> None:
    first = see(PathMemory(), A, B, TARGET)
    assert first == Comparison(path_hash([A, B, TARGET]), known_before=False)


def test_the_hash_names_the_order_of_the_hops() -> None:
    assert path_hash([A, B]) == path_hash([A, B])
    assert len({path_hash([A, B]), path_hash([B, A]), path_hash([A, None]), path_hash([A])}) == 4


def test_a_hop_that_falls_silent_and_comes_back_is_no_change() -> None:
    memory = PathMemory()
    first = see(memory, A, B, TARGET)
    for path in ([A, None, TARGET], [None, None, TARGET], [A, B, TARGET]):
        later = see(memory, *path)
        assert (later.hash, later.change) == (first.hash, None)


def test_another_router_is_a_change_and_the_first_that_differs_is_named() -> None:
    memory = PathMemory()
    first = see(memory, A, B, C, TARGET)
    moved = see(memory, A, D, C, TARGET)
    assert moved.change == Change(2, B, D)
    assert moved.previous_hash == first.hash != moved.hash
    assert see(memory, A, D, C, TARGET).change is None
    back = see(memory, A, B, C, TARGET)
    assert (back.change, back.hash) == (Change(2, D, B), first.hash)


def test_another_router_is_noticed_though_the_hop_was_silent_between() -> None:
    memory = PathMemory()
    see(memory, A, B, TARGET)
    see(memory, A, None, TARGET)
    assert see(memory, A, C, TARGET).change == Change(2, B, C)


def test_another_branch_of_a_load_balanced_hop_is_no_change() -> None:
    memory = PathMemory()
    first = see(memory, A, B, TARGET, also=[set(), {C}])
    other = see(memory, A, C, TARGET)
    assert (other.hash, other.change) == (first.hash, None)
    assert see(memory, A, D, TARGET).change == Change(2, f"{B} {C}", D)


def test_a_branch_that_was_not_seen_for_long_is_forgotten() -> None:
    memory = PathMemory()
    see(memory, A, B, TARGET, also=[set(), {C}])
    for _ in range(20):
        see(memory, A, B, TARGET)
    assert see(memory, A, C, TARGET).change == Change(2, B, C)


def test_a_longer_or_shorter_way_is_a_change() -> None:
    memory = PathMemory()
    see(memory, A, B, TARGET)
    assert see(memory, A, B, C, TARGET).change == Change(3, TARGET, C)
    assert see(memory, A, TARGET).change == Change(2, B, TARGET)


def test_a_target_that_misses_its_turn_is_no_change_though_it_answers_what_goes_further() -> None:
    memory = PathMemory()
    first = see(memory, A, TARGET)
    late = see(memory, A, None, TARGET)
    assert (late.change, late.hash, memory.hops) == (None, first.hash, 2)


def test_an_outage_is_no_change_of_path() -> None:
    memory = PathMemory()
    first = see(memory, A, B, TARGET)
    down = see(memory, A, reached=False)
    assert (down.hash, down.change) == (first.hash, None)
    assert memory.at(2) == B
    assert see(memory, A, B, TARGET).change is None


def test_a_router_is_noticed_to_have_changed_while_the_target_is_down() -> None:
    memory = PathMemory()
    see(memory, A, B, TARGET)
    assert see(memory, A, C, reached=False).change == Change(2, B, C)


def test_the_end_of_a_path_becoming_known_is_no_change() -> None:
    memory = PathMemory()
    see(memory, A, reached=False)
    whole = see(memory, A, B, TARGET)
    assert (whole.change, whole.hash) == (None, path_hash([A, B, TARGET]))
    assert memory.hops == 3
    assert see(memory, A, C, TARGET).change == Change(2, B, C)
