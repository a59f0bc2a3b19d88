"""What a guard was not told of, and what it may forget."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.calls import Call, Direction
from gateway.frontends.census import MAX_CALLS, Census, LiveCalls


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def call(channel: str) -> Call:
    return Call(direction=Direction.INBOUND, caller="", callee="", at=1.0, channel_id=channel)


def channels(*ids: str) -> frozenset[str]:
    return frozenset(ids)


def test_channels_older_than_the_link_were_not_missed() -> None:
    census = Census()
    census.begin()
    assert [census.count(channels("a")) for _ in range(3)] == [0, 0, 0]


def test_a_channel_that_stays_untold_is_missed_once() -> None:
    census = Census()
    census.begin()
    counts = [census.count(there) for there in (channels(), *[channels("a")] * 4)]
    assert counts == [0, 0, 1, 0, 0]


def test_a_channel_that_was_told_of_late_was_not_missed() -> None:
    census = Census()
    census.begin()
    census.count(channels())
    census.count(channels("a"))
    census.appeared("a")
    assert census.count(channels("a")) == 0


def test_a_channel_that_came_and_went_was_not_missed() -> None:
    census = Census()
    census.begin()
    census.count(channels())
    census.appeared("a")
    census.gone("a")
    assert census.count(channels("a")) == 0, "the list lags behind"
    assert census.count(channels()) == 0


def test_what_has_ended_unseen_is_forgotten() -> None:
    census = Census()
    census.begin()
    census.count(channels())
    for place in range(1000):
        census.appeared(str(place))
    for _ in range(3):
        census.count(channels())
    assert not census._told


def test_a_live_call_is_known_until_it_ends() -> None:
    live = LiveCalls()
    live.add(call("a"))
    live.add(call("b"))
    live.ended("a")
    live.ended("never")
    assert [item.channel_id for item in live.calls()] == ["b"]


def test_a_live_call_whose_end_was_missed_is_forgotten_after_two_counts() -> None:
    clock = Clock()
    live = LiveCalls(clock)
    live.add(call("a"))
    live.add(call("b"))
    clock.now = 1.0
    live.prune(channels("b"), asked=1.0)
    assert len(live) == 2, "the list may lag behind"
    live.prune(channels("b"), asked=2.0)
    assert [item.channel_id for item in live.calls()] == ["b"]


def test_a_count_that_was_asked_for_before_a_call_says_nothing_of_it() -> None:
    clock = Clock()
    live = LiveCalls(clock)
    clock.now = 5.0
    live.add(call("a"))
    for _ in range(3):
        live.prune(channels(), asked=4.0)
    assert len(live) == 1


def test_a_channel_keeps_its_calls_until_it_ends() -> None:
    live = LiveCalls()
    for callee in ("1", "2"):
        live.add(replace(call("a"), callee=callee))
    assert [item.callee for item in live.calls()] == ["1", "2"]
    assert len(live) == 1
    live.ended("a")
    assert live.calls() == []


def test_the_calls_of_a_channel_are_bounded() -> None:
    live = LiveCalls()
    for callee in range(100):
        live.add(replace(call("a"), callee=str(callee)))
    assert [item.callee for item in live.calls()] == [str(n) for n in range(100 - MAX_CALLS, 100)]


def test_live_calls_are_bounded_and_the_oldest_goes() -> None:
    live = LiveCalls(most=2)
    for channel in "abc":
        live.add(call(channel))
    assert [item.channel_id for item in live.calls()] == ["b", "c"]
