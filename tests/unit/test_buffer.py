"""The receive buffer hands out the same blocks however the bytes were cut, within its limit."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import TooLong
from gateway.protocols.buffer import Buffer


def take_all(buffer: Buffer, mark: bytes) -> list[bytes]:
    blocks = []
    while (block := buffer.take(mark)) is not None:
        blocks.append(block)
    return blocks


@given(
    st.text("a\n", max_size=60).map(str.encode),
    st.sets(st.integers(0, 60)),
    st.sampled_from([b"\n", b"\n\n"]),
)
def test_blocks_do_not_depend_on_how_bytes_are_cut(
    data: bytes, cuts: set[int], mark: bytes
) -> None:
    buffer, found = Buffer(100), list[bytes]()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(places):
        buffer.extend(data[start:end])
        found += take_all(buffer, mark)
    *blocks, rest = data.split(mark)
    assert found == blocks
    assert buffer.drain() == rest
    assert len(buffer) == 0


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_block_with_its_mark_may_be_as_long_as_the_limit(size: int) -> None:
    for length, fits in ((9, True), (10, False)):
        buffer = Buffer(10)
        data = b"x" * length + b"\n" + b"y" * 50

        def feed(buffer: Buffer = buffer, data: bytes = data) -> bytes | None:
            for start in range(0, len(data), size):
                buffer.extend(data[start : start + size])
                if (block := buffer.take(b"\n")) is not None:
                    return block
            return None

        if fits:
            assert feed() == b"x" * length
        else:
            with pytest.raises(TooLong):
                feed()


def test_the_beginning_can_be_compared_before_it_is_whole() -> None:
    buffer = Buffer(10)
    assert buffer.startswith(b"abc")
    buffer.extend(b"ab")
    assert buffer.startswith(b"abc")
    assert not buffer.startswith(b"ax")
    buffer.extend(b"cd" * 10)
    assert buffer.startswith(b"abc")
    assert buffer.head() == b"abcdcdcdcd"
