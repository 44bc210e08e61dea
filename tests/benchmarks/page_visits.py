"""Tabs that open one page and stay on it: python -m tests.benchmarks.page_visits PORT PAGE SESSIONS prints what it took, as JSON."""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack

import websockets

from tests.benchmarks.streamlit_clients import Session
from tests.benchmarks.table import percentile

STAY_SECONDS = 16.0  # the web process collects garbage every 15 s: what it keeps then is what sessions hold


async def measure(port: int, page: str, sessions: int) -> dict[str, float]:
    loads, opened = [], []
    async with AsyncExitStack() as tabs:
        for _number in range(sessions):
            socket = await tabs.enter_async_context(websockets.connect(
                f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None, compression=None))
            session = Session(socket, page_name=page)
            started = time.perf_counter()
            await session.rerun()
            loads.append(time.perf_counter() - started)
            opened.append(session)
        await asyncio.sleep(STAY_SECONDS if sessions > 1 else 0)
    return {"load_median_seconds": percentile(loads, 0.5), "exceptions": sum(session.exceptions for session in opened),
            "drawn_parts": percentile([session.drawn_parts for session in opened], 0.5)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
