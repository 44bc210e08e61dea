"""A model on loopback that speaks the OpenAI wire protocol, and fails in the ways that real ones do.

    with ModelServer(latency_seconds=0.2, faults=Faults({"429": 0.1}, seed=7)) as server:
        Settings(openai_base_url=server.base_url)

Standard library only, real sockets. `python -m tests.model_server --latency 0.2 --faults 429:0.1` runs it alone.
"""

import argparse
import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http.server import ThreadingHTTPServer

from tests.model_answers import Behaviour
from tests.model_wire import Handler, Request

Latency = Callable[[str], float]  # seconds before the answer, by the concept, novel or roadmap
Pace = Callable[[int], float]     # seconds after a piece, by how many were sent
HELD = 3600.0                     # seconds: until a test lets go what it holds up


def held_but(count: int) -> Latency:
    """Answers about the first `count` subjects come at once; the others are held up."""
    first, one_by_one = set[str](), threading.Lock()

    def seconds(subject: str) -> float:
        with one_by_one:
            if len(first) < count:
                first.add(subject)
            return 0.0 if subject in first else HELD
    return seconds


class Faults:
    """A share of requests that misbehave: Faults({"429": 0.1, "500": 0.1}, seed=7), decided in order of arrival."""

    def __init__(self, shares: Mapping[str, float], *, seed: int = 0) -> None:
        share_left = 1.0 - sum(shares.values())
        if share_left < -1e-9:
            raise ValueError("the shares add up to more than 1")
        self._behaviours = [*map(Behaviour, shares), Behaviour.OK]
        self._weights = [*shares.values(), max(0.0, share_left)]
        self._random = random.Random(seed)

    def draw(self) -> Behaviour:
        return self._random.choices(self._behaviours, self._weights)[0]


class ModelServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # a burst of a whole worker pool connects at once

    def __init__(
        self, port: int = 0, *, latency_seconds: float | Latency = 0.0, piece_seconds: float | Pace = 0.0,
        slow_seconds: float = 30.0, tokens_per_second: float | None = None,
        retry_after_seconds: float = 0.2, faults: Faults | None = None, script: Iterable[str] = (),
        texts: Callable[[str], str | None] = lambda _prompt: None,
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        # Both may be changed while it serves, for waits that have begun too.
        self.latency_seconds = latency_seconds  # before each answer
        self.piece_seconds = piece_seconds      # after each piece of a stream
        self.tokens_per_second = tokens_per_second  # None: pieces of some characters, see piece_seconds
        self.slow_seconds = slow_seconds
        self.retry_after_seconds = retry_after_seconds
        self.faults = faults
        self.script: deque[str] = deque(script)  # behaviours of the next requests; they come before faults
        self.texts = texts                      # what it writes for a prompt; None: a document that fits the schema
        self.stopping = threading.Event()
        self._requests: list[Request] = []
        self._changed = threading.Condition()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def requests(self) -> tuple[Request, ...]:
        with self._changed:
            return tuple(self._requests)

    def wait_for(
        self, condition: Callable[[tuple[Request, ...]], object], *, timeout_seconds: float = 120.0,
    ) -> tuple[Request, ...]:
        """The requests, as soon as they fulfil the condition. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(tuple(self._requests)), timeout_seconds):
                raise TimeoutError(f"not within {timeout_seconds} s: {self._requests}")
            return tuple(self._requests)

    def latency_of(self, subject: str) -> float:
        return self.latency_seconds(subject) if callable(self.latency_seconds) else self.latency_seconds

    def pause_after(self, sent: int) -> float:
        return self.piece_seconds(sent) if callable(self.piece_seconds) else self.piece_seconds

    def next_behaviour(self) -> Behaviour:
        with self._changed:
            if self.script:
                return Behaviour(self.script.popleft())
            return self.faults.draw() if self.faults else Behaviour.OK

    def note_start(self, request: Request) -> int:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            return len(self._requests) - 1

    def note_end(self, index: int, *, status: int) -> None:
        with self._changed:
            self._requests[index] = replace(self._requests[index], finished_at=time.monotonic(), status=status)
            self._changed.notify_all()

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # clients that hang up are part of the tests
            super().handle_error(request, client_address)

    def __enter__(self) -> "ModelServer":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.wait_for(lambda requests: all(request.status for request in requests))
        self.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A model on loopback that speaks the OpenAI wire protocol")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--faults", default="", help="kind:share,kind:share; kinds: " + ", ".join(Behaviour))
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    pairs = [pair.rpartition(":") for pair in chosen.faults.split(",") if pair]
    faults = Faults({kind: float(share) for kind, _, share in pairs}, seed=chosen.seed)
    with ModelServer(chosen.port, latency_seconds=chosen.latency, faults=faults) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stopping.set())
        print(server.base_url, flush=True)
        server.stopping.wait()


if __name__ == "__main__":
    main()
