"""Peers that mean harm, on every listener of a running gateway at once.

Rule: an attack is one connection, made again and again while it is under way; it may be refused,
cut off or ignored, and never waits longer than PATIENCE for what the gateway does.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import Channel, environment
from gateway.tokens import Scope, Tokens
from tests.fakes.freeswitch import channel_data
from tests.fuzz.asking import filled
from tests.fuzz.corpus import corpus
from tests.support.served import Served

PATIENCE = 1.0
"""Seconds that an attacker spends on one connection."""
STEP = 0.005
"""Seconds between two bytes of a slow sender."""
PEERS = 6
"""Attackers on each listener at a time."""
_RESET = struct.pack("ii", 1, 0)
_PATH = screen_path("inbound", "", "", "+33162000000", "+33140000000")
_GET = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"
WHOLE: Mapping[str, bytes] = {
    "agi": environment(f"agi://127.0.0.1/{_PATH}", Channel()),
    "esl": channel_data("normal", callgate_direction="inbound"),
    "http": _GET,
    "control": b'{"op":"status"}\n',
}
"""What is answered on each listener."""


@dataclass
class Attacker:
    """One of many; ``address`` is where it connects to, ``listener`` what listens there."""

    listener: str
    address: tuple[str, int] | str
    chance: random.Random
    corpora: Mapping[str, list[bytes]]
    source: str = ""

    async def connected(self) -> socket.socket:
        """A connection, with little room for what it is sent. OSError."""
        unix = isinstance(self.address, str)
        sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            if self.source and not unix:
                sock.bind((self.source, 0))
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, self.address)
        except BaseException:
            sock.close()
            raise
        return sock

    @property
    def whole(self) -> bytes:
        return WHOLE[self.listener]


async def drip(peer: Attacker, sock: socket.socket) -> None:
    """A byte at a time."""
    loop = asyncio.get_running_loop()
    for byte in peer.whole:
        await loop.sock_sendall(sock, bytes([byte]))
        await asyncio.sleep(STEP)


async def silence(peer: Attacker, sock: socket.socket) -> None:
    """Nothing, or half, for as long as it has patience."""
    await asyncio.get_running_loop().sock_sendall(
        sock, peer.whole[: peer.chance.choice((0, 0, 1, len(peer.whole) // 2))]
    )
    await asyncio.sleep(PATIENCE)


async def reset(peer: Attacker, sock: socket.socket) -> None:
    """A reset at each stage: at once, after half, after all, before and after an answer."""
    loop = asyncio.get_running_loop()
    if peer.listener != "control":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    stage = peer.chance.randrange(4)
    await loop.sock_sendall(sock, peer.whole[: (0, len(peer.whole) // 2, None, None)[stage]])
    if stage == 3:
        await loop.sock_recv(sock, 10)
    await asyncio.sleep(peer.chance.choice((0, 0, STEP)))


async def garbage(peer: Attacker, sock: socket.socket) -> None:
    """Bytes of no protocol, or of another's, up to a megabyte."""
    size = peer.chance.choice((1, 100, 10_000, 1_000_000))
    other = peer.chance.choice([*WHOLE.values(), peer.whole])
    data = peer.chance.choice((peer.chance.randbytes(size), other, peer.whole + b"\xff" * size))
    await asyncio.get_running_loop().sock_sendall(sock, data)
    await _read_all(sock)


async def mutated(peer: Attacker, sock: socket.socket) -> None:
    """What the corpus of fuzzing has, over the wire."""
    inputs = peer.corpora.get(peer.listener) or peer.corpora["http"]
    await asyncio.get_running_loop().sock_sendall(sock, peer.chance.choice(inputs))
    await _read_all(sock)


async def deaf(peer: Attacker, sock: socket.socket) -> None:
    """Requests over and over, of whose answers nothing is read."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(sock, peer.whole)
        await asyncio.sleep(STEP)


async def _read_all(sock: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(sock, 65536):
        pass


Attack = Callable[[Attacker, socket.socket], Awaitable[None]]
ATTACKS: Mapping[str, Attack] = {
    attack.__name__: attack for attack in (drip, silence, reset, garbage, mutated, deaf)
}


@dataclass
class Attacks:
    """An attack that is under way. ``rounds`` counts its connections, ``kept_out`` the refused."""

    rounds: dict[str, int] = field(default_factory=dict)
    kept_out: int = 0
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def done(self, count: int) -> None:
        """Wait until each listener has been attacked so often."""
        async with self._more:
            await self._more.wait_for(lambda: min(self.rounds.values()) >= count)

    async def again(self, peer: Attacker, attack: Attack) -> None:
        """The same for ever."""
        while True:
            try:
                sock = await peer.connected()
            except OSError:
                self.kept_out += 1
                await asyncio.sleep(STEP)
            else:
                with sock, suppress(OSError):  # TimeoutError is one
                    async with asyncio.timeout(PATIENCE):
                        await attack(peer, sock)
            async with self._more:
                self.rounds[peer.listener] += 1
                self._more.notify_all()
            await asyncio.sleep(0)


@asynccontextmanager
async def attacked(
    gateway: Served,
    attack: Attack,
    *,
    seed: int = 0,
    peers: int = PEERS,
    source: str = "",
    listeners: Iterable[str] = tuple(WHOLE),
) -> AsyncIterator[Attacks]:
    """These listeners are attacked while the block runs, from an address of loopback."""
    control = str(gateway.state / "control.sock")
    token = Tokens(gateway.state).create(f"pbx-{seed}", [Scope.SCREEN]).encode()
    places = {
        name: control if name == "control" else ("127.0.0.1", int(getattr(gateway, name)))
        for name in listeners
    }
    corpora = {name: [data for _, data in corpus(name)] for name in ("agi", "esl")}
    corpora["http"] = [filled(data, token) for _, data in corpus("web")]
    under = Attacks(dict.fromkeys(places, 0))
    tasks = [
        asyncio.create_task(under.again(Attacker(name, place, chance, corpora, source), attack))
        for name, place in places.items()
        for number in range(peers)
        for chance in [random.Random(f"{seed} {name} {number}")]
    ]
    try:
        yield under
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
