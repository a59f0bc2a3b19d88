"""What the HTTP side costs calls: screened calls with its pages idle, and with them busy.

Both stand in one run, round by round: the same FastAGI load, once alone and once while clients ask
pages, search, preview, export and watch. What is told is the time from the connection to the close
as the PBX sees it, the gateway's own time to decide, and the ratios of the two within a round.
The gateway, its HTTP side, the load and the clients are processes of their own that share whatever
processors there are: nothing is pinned, as in real life.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx

from bench.measure import Server, callgate, cpu_seconds, free_port, running, unpin
from bench.result import Result
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import Channel, environment
from gateway.tokens import Scope, Tokens

CALLS_AT_ONCE = 4
PROCESSES = multiprocessing.get_context("spawn")
Counts = Any
"""Two numbers that processes share: answers, and refusals among them."""
BUCKET = re.compile(r'^callgate_decision_seconds_bucket\{.*?le="([^"]+)"\} (\S+)$', re.M)
PAGES = ("/", "/blacklist", "/attempts", "/campaigns", "/check", "/audit")
PREFIX = {"number": "+33162", "kind": "prefix"}
HTML = {"Accept": "text/html"}
LONG = 60.0
UNITS = {"p50": "ms", "p99": "ms", "cpu": "us", "decision p50": "us", "decision p99": "us"}


def caller(number: int) -> str:
    return f"+33{162_000_000 + number % 2 * 27_000_000 + number % 100_000}"


async def call(port: int, number: int) -> None:
    """One call as Asterisk places it, to its end."""
    calling = caller(number)
    path = screen_path("inbound", "", "", calling, "+33140000000")
    channel = Channel(caller=calling, unique_id=f"1795362711.{number}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(environment(f"agi://127.0.0.1:{port}/{path}", channel))
    if await reader.readline():
        writer.write(b"200 result=0\n")
        await reader.read()
    writer.close()


class Busy:
    """Clients that ask one thing after the other, and how many answers they got."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self.answers = 0
        self.refused = 0

    @contextlib.asynccontextmanager
    async def asking(self, clients: int, watchers: int) -> AsyncIterator[None]:
        ways = [self._pages, self._searches, self._previews, self._exports]
        tasks = [asyncio.create_task(self._loop(ways[one % 4])) for one in range(clients)]
        tasks += [asyncio.create_task(self._loop(self._watch)) for _ in range(watchers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _loop(self, way: object) -> None:
        async with httpx.AsyncClient(
            base_url=self._url, headers=self._headers, timeout=LONG, trust_env=False
        ) as client:
            while True:
                await way(client)  # type: ignore[operator]

    def _count(self, answer: httpx.Response) -> None:
        self.answers += 1
        self.refused += not answer.is_success

    async def _pages(self, client: httpx.AsyncClient) -> None:
        for page in PAGES:
            self._count(await client.get(page, headers=HTML))

    async def _searches(self, client: httpx.AsyncClient) -> None:
        number = caller(self.answers)
        self._count(await client.get("/v1/attempts", params={"number": number, "limit": 200}))
        self._count(await client.get("/v1/entries", params={"covers": number}))
        self._count(await client.post("/v1/check", json={"number": number}))

    async def _previews(self, client: httpx.AsyncClient) -> None:
        self._count(await client.post("/v1/entries/preview", json=PREFIX))

    async def _exports(self, client: httpx.AsyncClient) -> None:
        self._count(await client.get("/v1/attempts.csv"))

    async def _watch(self, client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/v1/attempts/stream") as answer:
            self._count(answer)
            async for _ in answer.aiter_bytes():
                pass


def ask_until(
    url: str, token: str, clients: int, watchers: int, begun: Event, end: Event, counts: Counts
) -> None:
    """The clients, as a process of their own."""

    async def ask() -> None:
        busy = Busy(url, token)
        async with busy.asking(clients, watchers):
            while busy.answers < watchers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            begun.set()
            await asyncio.to_thread(end.wait)
        counts[0] += busy.answers
        counts[1] += busy.refused

    asyncio.run(ask())


async def load(port: int, calls: int) -> list[float]:
    """The milliseconds of each call, some of them at once."""
    numbers, found = iter(range(calls)), list[float]()

    async def lane() -> None:
        for number in numbers:
            began = time.perf_counter()
            await call(port, number)
            found.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(lane() for _ in range(CALLS_AT_ONCE)))
    return found


def decisions(url: str, token: str) -> dict[float, float]:
    """How many decisions took at most so many seconds."""
    text = httpx.get(f"{url}/metrics", auth=("x", token), trust_env=False, timeout=LONG).text
    counts: dict[float, float] = {}
    for bound, count in BUCKET.findall(text):
        counts[float(bound)] = counts.get(float(bound), 0) + float(count)
    return counts


def microseconds(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """The bound of the bucket that a share of the decisions in between lies in or below."""
    counts = {bound: after[bound] - before.get(bound, 0) for bound in sorted(after)}
    most = max(counts.values(), default=0)
    return next(bound * 1e6 for bound, count in counts.items() if count >= share * most)


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@contextlib.contextmanager
def site(entries: int) -> Iterator[tuple[int, int, str, str]]:
    """A gateway with its HTTP side: its process, the port of FastAGI, its address and a token."""
    port, http = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="cg") as name:
        folder = Path(name)
        settings = f'http: {{listen: "127.0.0.1:{http}"}}\n'
        command = callgate(folder, "agi", port, entries, settings)
        token = Tokens(folder / "state").create("bench", [Scope.ADMIN])
        with running(Server(port, command)) as pid:
            unpin(pid)
            url = f"http://127.0.0.1:{http}"
            with httpx.Client(
                transport=httpx.HTTPTransport(retries=8), timeout=LONG, trust_env=False
            ) as client:
                client.get(f"{url}/healthz").raise_for_status()
            yield pid, port, url, token


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--watchers", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="fewer calls and rounds")
    options = parser.parse_args()
    if options.quick:
        options.calls, options.rounds = 1000, 2
    found = {name: {key: list[float]() for key in UNITS} for name in ("idle", "busy")}
    counts: Counts = PROCESSES.Array("l", 2)
    with site(options.entries) as (pid, port, url, token):

        def one(name: str, counts_too: int) -> None:
            cpu, before = cpu_seconds(pid), decisions(url, token)
            times = asyncio.run(load(port, options.calls))
            cpu, after = cpu_seconds(pid) - cpu, decisions(url, token)
            if counts_too:  # the first round warms up
                values = (
                    quantile(times, 0.5),
                    quantile(times, 0.99),
                    cpu / options.calls * 1e6,
                    microseconds(before, after, 0.5),
                    microseconds(before, after, 0.99),
                )
                for key, value in zip(UNITS, values, strict=True):
                    found[name][key].append(value)

        for place in range(options.rounds + 1):
            one("idle", place)
            begun, end = PROCESSES.Event(), PROCESSES.Event()
            asked = (url, token, options.clients, options.watchers, begun, end, counts)
            clients = PROCESSES.Process(target=ask_until, args=asked)
            clients.start()
            begun.wait(LONG)
            one("busy", place)
            end.set()
            clients.join()
    answers, refused = counts
    result = Result("http", quick=options.quick)
    result.setting = (
        f"{options.entries:,} entries, {options.rounds} rounds of {options.calls:,} calls, "
        f"{CALLS_AT_ONCE} at a time; {options.clients} clients and {options.watchers} watchers"
    )
    report(found, result)
    result.note(f"{answers} answers of the HTTP side meanwhile, {refused} of them refusals")
    result.finish()
    if refused > answers / 2:
        sys.exit("the HTTP side was not busy: most answers were refusals")


def report(found: dict[str, dict[str, list[float]]], result: Result) -> None:
    for name, figures in found.items():
        for key, values in figures.items():
            result.row(f"HTTP {name}, {key}", values, UNITS[key])
    for key in found["idle"]:
        pairs = zip(found["busy"][key], found["idle"][key], strict=True)
        kept = [(one, other) for one, other in pairs if other]
        result.ratio(f"busy / idle, {key}", *zip(*kept, strict=True))


if __name__ == "__main__":
    main()
