"""What becomes of replies: which request each answers, and what a run is told of it."""

import socket
import time

from streamswarm_agent.net.icmp.channel import EchoChannel, new_reader
from streamswarm_agent.net.icmp.flight import Flight, Flights
from streamswarm_agent.net.icmp.requests import Echoes
from streamswarm_agent.net.icmp.run import EchoHistory
from streamswarm_agent.net.targets import Address

V4 = Address(socket.AF_INET, ("127.0.0.1", 0), None)


async def flight_of(flights: Flights, count: int, *, history: EchoHistory | None = None, wait: float = 1.0) -> Flight:
    """A flight whose requests left one millisecond after the other, from 1 s on."""
    channel = EchoChannel(flights, new_reader(), socket.AF_INET, df=False)
    echoes = Echoes(V4, count, spacing=0.001, wait=wait, size=56)
    outlet = channel.outlet(echoes)
    channel.close()
    first = flights.take_numbers(count)
    flight = Flight(echoes, outlet, history or EchoHistory(), first, lambda _flight: None)
    for index in range(count):
        flight.sent.append(10**9 + index * 10**6)
        flights.pending[flight.first + index] = flight
    flight.next = count
    return flight


def reply(flights: Flights, flight: Flight, index: int, after_ms: float) -> None:
    received = flight.sent[index] + round(after_ms * 1e6)
    flights.answer(flight.first + index, flight.echoes.secret, received, received + 10, 60)


async def test_a_duplicate_is_counted_and_changes_no_round_trip_time() -> None:
    flights = Flights()
    flight = await flight_of(flights, 2)
    reply(flights, flight, 0, 10)
    reply(flights, flight, 0, 400)
    reply(flights, flight, 1, 20)
    run = flight.result()
    assert (run.rtts, run.duplicates, run.loss) == ([0.01, 0.02], 1, 0.0)


async def test_a_reply_after_the_wait_is_late_and_its_request_stays_lost() -> None:
    flights = Flights()
    flight = await flight_of(flights, 2, wait=0.5)
    reply(flights, flight, 0, 500.001)
    reply(flights, flight, 0, 501)
    reply(flights, flight, 1, 500)
    run = flight.result()
    assert (run.rtts, run.late, run.duplicates, run.loss) == ([None, 0.5], 1, 1, 0.5)


async def test_replies_to_a_run_that_has_ended_are_told_by_the_next_one() -> None:
    flights, history = Flights(), EchoHistory()
    first = await flight_of(flights, 2, history=history)
    reply(flights, first, 0, 10)
    flights.finish(first)
    assert (first.result().loss, first.result().late) == (0.5, 0)
    reply(flights, first, 0, 1500)
    reply(flights, first, 1, 1500)
    reply(flights, first, 1, 1600)
    second = await flight_of(flights, 1, history=history)
    reply(flights, second, 0, 10)
    run = second.result()
    assert (run.rtts, run.late, run.duplicates) == ([0.01], 1, 2)
    assert (history.late, history.duplicates) == (0, 0)


async def test_a_reply_that_a_later_one_has_overtaken_is_reordered() -> None:
    flights = Flights()
    flight = await flight_of(flights, 4)
    for index, after in ((0, 1), (3, 1), (1, 9), (2, 9)):
        reply(flights, flight, index, after)
    assert flight.result().reordered == 2


async def test_requests_of_long_ended_flights_are_forgotten() -> None:
    flights = Flights()
    complete, lossy, open_still = [await flight_of(flights, 3) for _ in range(3)]
    for index in range(3):
        reply(flights, complete, index, 1)
    flights.finish(lossy)

    def known(after: float) -> list[bool]:
        flights.forget_ended(time.monotonic() + after)
        return [flights.find(flight.first + 2) is flight for flight in (complete, lossy, open_still)]

    assert known(0) == [True, True, True]
    assert known(5) == [False, True, True]
    assert known(8) == [False, True, True]
    assert known(60) == [False, False, True]
    assert len(flights.pending) + len(flights.earlier) == 3


async def test_the_newest_request_with_a_sequence_number_is_found_behind_a_wrap() -> None:
    flights = Flights()
    flights._next_number = 0x2FFFE
    first = flights.take_numbers(4)
    assert [flights.newest_of((first + index) & 0xFFFF) for index in range(4)] == [0x2FFFE, 0x2FFFF, 0x30000, 0x30001]


async def test_no_target_answers_for_another() -> None:
    flights = Flights()
    flight, other = await flight_of(flights, 1), await flight_of(flights, 1)
    flights.answer(flight.first, other.echoes.secret, 10**9 + 5, 10**9 + 10, 60)
    assert flight.result().rtts == [None]


async def test_a_target_that_answers_before_it_is_asked_is_not_heard() -> None:
    flights = Flights()
    flight = await flight_of(flights, 2)
    flight.sent.pop()
    flights.answer(flight.first + 1, flight.echoes.secret, 10**9 + 5, 10**9 + 10, 60)
    assert flight.result().rtts == [None, None]
