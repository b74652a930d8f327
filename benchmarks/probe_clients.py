"""How well an outage is seen: ``gonogo probe`` beside a client on httpx's pool, asking the same service at the same rate.

A service closes its socket and its connections for a second that it times itself. Each round both ask it, one after the other,
and the longest time without a good answer is held against that second.

``python -m benchmarks.probe_clients --help``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import httpx

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BEFORE, AWAY, AFTER = 1.5, 1.0, 1.5  # seconds
DURATION = BEFORE + AWAY + AFTER


@dataclass(frozen=True)
class Seen:
    """What a client has seen: the longest time without a good answer, how late it sent (99 of 100), its processor time; in seconds.

    ``sent``: how many requests.
    """

    gap: float
    lag: float
    processor: float
    sent: int


def serve(ready: Connection, port: int) -> None:
    """A service that is away once, and tells for how long."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(ANSWER)
                await writer.drain()

    there: set[asyncio.StreamWriter] = set()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
        ready.send("listens")
        while ready.recv() == "round":
            await asyncio.sleep(BEFORE)
            server.close()
            for writer in there:
                writer.transport.abort()
            there.clear()
            begin = time.monotonic()
            await asyncio.sleep(AWAY)
            server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
            away = time.monotonic() - begin
            while not ready.poll():
                await asyncio.sleep(0.02)
            ready.recv()
            ready.send(away)

    asyncio.run(run())


def by_gonogo(url: str, rate: float, folder: Path) -> Seen:
    """The command."""
    out = folder / "account.json"
    command = [sys.executable, "-m", "gonogo", "probe", url, "--for", f"{DURATION}s", "--rate", str(rate)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--json", str(out)], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(out.read_text())
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seen(told["gap"]["end"] - told["gap"]["start"], told["lag"]["p99"], processor, told["sent"])


HTTPX = """
import asyncio, json, sys, time, httpx

url, rate, duration = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])

async def main():
    good, lags = [], []
    async with httpx.AsyncClient(timeout=5.0) as client:
        began = time.monotonic()

        async def one(moment):
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            sent = time.monotonic()
            lags.append(sent - began - moment)
            try:
                answer = await client.get(url)
            except httpx.HTTPError:
                return
            if answer.status_code == 200:
                good.append(time.monotonic())

        await asyncio.gather(*(one(number / rate) for number in range(int(rate * duration))))
    good.sort()
    lags.sort()
    gap = max(later - earlier for earlier, later in zip(good, good[1:]))
    print(json.dumps({"gap": gap, "lag": lags[len(lags) * 99 // 100], "sent": len(lags)}))

asyncio.run(main())
"""


def by_httpx(url: str, rate: float, folder: Path) -> Seen:
    """A client of some thirty lines, as one would write it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", HTTPX, url, str(rate), str(DURATION)], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(done.stdout)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seen(told["gap"], told["lag"], processor, told["sent"])


def main() -> None:
    """Ask in rounds, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    asked = parser.parse_args()
    clients: dict[str, Callable[[str, float, Path], Seen]] = {
        "gonogo probe": by_gonogo,
        f"httpx {httpx.__version__}": by_httpx,
    }
    seen: dict[str, list[tuple[float, Seen]]] = {name: [] for name in clients}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    near, far = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(far, port), daemon=True)
    server.start()
    near.recv()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(asked.rounds):
            for name, ask in clients.items():
                near.send("round")
                found = ask(f"http://127.0.0.1:{port}/", asked.rate, Path(folder))
                near.send("over")
                seen[name].append((near.recv(), found))
    near.send("end")
    server.join()
    print(
        f"{asked.rounds} rounds, {asked.rate:g} requests a second, {os.cpu_count()} processors; medians (lowest to highest), ms"
    )
    for name, rounds in seen.items():
        for what, figures in {
            "gap seen - time away": [(one.gap - away) * 1000 for away, one in rounds],
            "sent late by, 99 of 100": [one.lag * 1000 for _, one in rounds],
            "processor time": [one.processor * 1000 for _, one in rounds],
        }.items():
            print(
                f"{name:<16} {what:<24} {statistics.median(figures):9.1f}  ({min(figures):.1f} to {max(figures):.1f})"
            )


if __name__ == "__main__":
    main()
