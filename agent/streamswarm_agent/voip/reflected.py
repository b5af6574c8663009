"""Both directions of a stream that a STAMP reflector sent back."""

from streamswarm_agent.net.stamp.oneway import LossByWay, attribute_loss, delays_of
from streamswarm_agent.net.stamp.sender import Sent, StampRun
from streamswarm_agent.voip.leg import Leg


def legs_of(run: StampRun) -> tuple[Leg, Leg] | None:
    """Which packets were lost in which direction; None where the reflector's count doesn't tell.

    How many were lost in each direction is exact (`attribute_loss`). Which ones: between two answers the reflector's
    numbers say how many of the missing packets had reached it. Where a gap has losses of both directions, the earlier
    ones are taken for lost on the way there, for nobody knows their order.
    """
    losses = attribute_loss(run)
    if losses.unknown:
        return None
    lost_there = _lost_there(run, losses)
    lost = {packet.sequence for packet in run.packets if not packet.answers}
    there, back = delays_of(run)
    numbers = [packet.sequence for packet in run.packets]
    reached = [number for number in numbers if number not in lost_there]
    return (
        Leg(numbers, frozenset(lost_there), there.delays),
        Leg(reached, frozenset(lost - lost_there), back.delays),
    )


def undivided(run: StampRun) -> tuple[Leg, Leg]:
    """Both directions as if each had lost all that is missing: the worst that can have happened to either."""
    numbers = [packet.sequence for packet in run.packets]
    lost = frozenset(packet.sequence for packet in run.packets if not packet.answers)
    there, back = delays_of(run)
    return Leg(numbers, lost, there.delays), Leg(numbers, lost, back.delays)


def _lost_there(run: StampRun, losses: LossByWay) -> set[int]:
    """The numbers of the packets lost on the way there, as many as there were."""
    found: set[int] = set()
    # Where the reflector doesn't count from 0, the first packet was answered, or nothing could have been attributed.
    reached = -1
    gap: list[Sent] = []

    def take(most: int) -> None:
        few = min(max(most, 0), len(gap), losses.there - len(found))
        found.update(packet.sequence for packet in gap[:few])
        gap.clear()

    for packet in run.packets:
        if not packet.answers:
            gap.append(packet)
            continue
        number = packet.answers[0].reply.sequence
        take(len(gap) - (number - reached - 1))
        reached = number
    take(losses.there - len(found))
    return found
