"""Stand-ins for browsers: websocket clients that speak Streamlit's protocol and tick its fragments as a browser does.

python -m tests.benchmarks.streamlit_clients PORT SESSIONS SECONDS prints what the ticks took, as JSON.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.benchmarks.table import percentile

CONNECT_EVERY_SECONDS = 0.1
SETTLE_SECONDS = 6.0
PATIENCE_SECONDS = 120.0
OPERATION_WORDS = " done"  # of "12 of 60 done", in the block of the running operation
LIVE_SECONDS = 2.0  # the interval of the fragment that is measured


@dataclass(slots=True)
class Session:
    """One browser tab."""

    socket: websockets.ClientConnection
    page_hash: str = ""
    page_name: str = ""  # that is opened first; "" is the overview
    intervals: dict[str, float] = field(default_factory=dict)  # fragment id -> seconds, as AutoRerun messages tell
    told: dict[str, float] = field(default_factory=dict)       # the same, of the run that is being received
    known_messages: list[str] = field(default_factory=list)    # what a browser keeps: it is not sent again
    received_bytes: int = 0
    drawn_parts: int = 0
    has_seen_operation: bool = False
    exceptions: int = 0

    async def rerun(self, fragment_id: str = "") -> None:
        """Run the page, or one fragment of it, and wait until it is drawn."""
        message = BackMsg()
        request = message.rerun_script
        request.fragment_id, request.is_auto_rerun, request.page_script_hash = fragment_id, bool(fragment_id), self.page_hash
        request.cached_message_hashes.extend(self.known_messages)
        request.widget_states.SetInParent()
        request.page_name = "" if request.page_script_hash else self.page_name
        request.context_info.timezone = "UTC"
        await self.socket.send(message.SerializeToString())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._take(await self.socket.recv()):
                pass

    def _take(self, data: bytes) -> bool:
        """Read one message. True: the run has ended, and no other follows from it."""
        self.received_bytes += len(data)
        message = ForwardMsg()
        message.ParseFromString(data)
        if message.metadata.cacheable and message.hash and message.hash not in self.known_messages:
            self.known_messages.append(message.hash)
        match message.WhichOneof("type"):
            case "new_session":
                self.page_hash = message.new_session.page_script_hash
            case "auto_rerun":
                self.told[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            case "delta":
                self._draw(message.delta.new_element)
            case "ref_hash":
                self.drawn_parts += 1
            case "script_finished":
                return self._finish(message.script_finished)
        return False


    def _finish(self, status: int) -> bool:
        """Fragments of an older drawing of the page tick no more."""
        if status == ForwardMsg.FINISHED_SUCCESSFULLY:
            self.intervals = self.told
        self.told = {}
        return status != ForwardMsg.FINISHED_EARLY_FOR_RERUN

    def _draw(self, element: Element) -> None:
        self.drawn_parts += 1
        self.exceptions += element.WhichOneof("type") == "exception"
        self.has_seen_operation |= OPERATION_WORDS in element.html.body


@dataclass(slots=True)
class Crowd:
    port: int
    is_counting: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    loads: list[float] = field(default_factory=list)  # seconds of each first page
    ticks: list[float] = field(default_factory=list)  # seconds of each tick of the live fragment, while counting
    tick_bytes: list[int] = field(default_factory=list)
    empty_ticks: int = 0                              # that drew nothing
    sessions: list[Session] = field(default_factory=list)

    async def visit(self) -> None:
        started = time.perf_counter()
        url = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        async with websockets.connect(url, subprotocols=["streamlit"], max_size=None, compression=None) as socket:
            session = Session(socket)
            await session.rerun()
            self.loads.append(time.perf_counter() - started)
            self.sessions.append(session)
            await self._poll(session)

    async def _poll(self, session: Session) -> None:
        """Every fragment in its own rhythm, from a moment of its own on."""
        due = {fragment: time.perf_counter() + random.random() * seconds for fragment, seconds in session.intervals.items()}
        while not self.stopping.is_set():
            if set(due) != set(session.intervals):
                due = {fragment: due.get(fragment, time.perf_counter() + seconds) for fragment, seconds in session.intervals.items()}
            if not due:  # the page polls nothing: the operation has ended
                return
            fragment = min(due, key=due.__getitem__)
            await asyncio.sleep(max(0.0, due[fragment] - time.perf_counter()))
            started, bytes_before, parts_before = time.perf_counter(), session.received_bytes, session.drawn_parts
            await session.rerun(fragment)
            if self.is_counting and session.intervals.get(fragment) == LIVE_SECONDS:
                self.ticks.append(time.perf_counter() - started)
                self.tick_bytes.append(session.received_bytes - bytes_before)
                self.empty_ticks += session.drawn_parts == parts_before
            if fragment in session.intervals:
                due[fragment] = max(due[fragment] + session.intervals[fragment], time.perf_counter())


async def measure(port: int, sessions: int, seconds: float) -> dict[str, float]:
    crowd = Crowd(port)
    visits = []
    for _session in range(sessions):
        visits.append(asyncio.create_task(crowd.visit()))
        await asyncio.sleep(CONNECT_EVERY_SECONDS)
    while len(crowd.loads) < sessions:
        if failed := next((visit for visit in visits if visit.done()), None):
            failed.result()
        await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLE_SECONDS)
    crowd.is_counting, cpu_started = True, time.process_time()
    await asyncio.sleep(seconds)
    crowd.is_counting, cpu_share = False, (time.process_time() - cpu_started) / seconds
    crowd.stopping.set()
    await asyncio.gather(*visits)
    polling = sum(LIVE_SECONDS in session.intervals.values() and session.has_seen_operation for session in crowd.sessions)
    return {
        "polling_sessions": polling, "ticks_per_second": len(crowd.ticks) / seconds, "median_seconds": percentile(crowd.ticks, 0.5),
        "p95_seconds": percentile(crowd.ticks, 0.95), "load_median_seconds": percentile(crowd.loads, 0.5),
        "tick_bytes": percentile(crowd.tick_bytes, 0.5), "empty_ticks": crowd.empty_ticks,
        "exceptions": sum(session.exceptions for session in crowd.sessions), "client_cpu_share": cpu_share}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
