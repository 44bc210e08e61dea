"""One connection to the loopback model: reads a request, answers it as its behaviour says. See model_server.py."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Protocol

from tests import model_pictures
from tests.model_answers import FAULT_WORDS, FINISH_REASONS, Behaviour, Json, answer_text, pieces_of, subject_in, tokens_of

MODEL_NAME = "loopback-model"
CLIENT_GONE = 499  # the status that proxies log when the client closed first
_EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the server saw it; status and finished_at are None while it is being answered."""

    path: str
    model: str
    schema_name: str
    subject: str  # the concept, novel or roadmap that it was asked about
    behaviour: Behaviour
    retry_count: int  # the client's own word
    is_stream: bool
    started_at: float  # seconds on the monotonic clock
    finished_at: float | None = None
    status: int | None = None
    key: str = ""  # of a search or a picture: what the client showed
    file_format: str = ""  # that a picture was asked for in


class Policy(Protocol):
    """What the handler asks its server."""

    slow_seconds: float
    tokens_per_second: float | None
    retry_after_seconds: float
    stopping: threading.Event
    texts: Callable[[str], str | None]

    def latency_of(self, subject: str) -> float: ...
    def pause_after(self, sent: int) -> float: ...
    def next_behaviour(self) -> Behaviour: ...
    def note_start(self, request: Request) -> int: ...
    def note_end(self, index: int, *, status: int) -> None: ...


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True  # otherwise a small piece waits up to 40 ms for the acknowledgement of the last
    server: Policy

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            model = {"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "loopback"}
            self._send(200, {"object": "list", "data": [model]})
        elif self.path.startswith(model_pictures.PATHS):
            self._serve(self._picture_request(), lambda request: self._give_picture(request))
        else:
            self._send_error(404, f"No such path: {self.path}")

    def do_POST(self) -> None:
        sent = self.rfile.read(length := int(self.headers.get("content-length", 0)))
        if len(sent) < length:
            raise ConnectionAbortedError("the client was killed while it asked")
        body = json.loads(sent or b"{}")
        if self.path not in ("/v1/chat/completions", model_pictures.GENERATIONS):
            self._send_error(404, f"No such path: {self.path}")
            return
        self._serve(self._request(body), lambda request: self._answer(request, body))

    def _serve(self, request: Request, answer: Callable[[Request], int]) -> None:
        index = self.server.note_start(request)
        status = CLIENT_GONE
        try:
            status = answer(request)
            self.wfile.flush()
        except ConnectionError:
            self.close_connection = True
        finally:
            self.server.note_end(index, status=status)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: server.requests is the log."""

    def _picture_request(self) -> Request:
        is_search = self.path.startswith(model_pictures.SEARCH)  # photos and pictures misbehave by their address
        return Request(
            path=self.path, model="", schema_name="", subject="", retry_count=0, is_stream=False, started_at=time.monotonic(),
            behaviour=self.server.next_behaviour() if is_search else Behaviour.OK, key=self.headers.get("authorization", ""))

    def _give_picture(self, request: Request) -> int:
        behaviour = request.behaviour
        self._wait(lambda: self.server.slow_seconds if behaviour is Behaviour.SLOW or "slow" in self.path else 0.0)
        if behaviour.value[:3].isdigit():
            return self._send_fault(behaviour)
        reply = model_pictures.answer(self.path, behaviour, root=f"http://127.0.0.1:{self.server.server_address[1]}")
        if reply.redirect:
            self.send_response(302)
            self.send_header("location", reply.redirect)
            self.send_header("content-length", "0")
            self.end_headers()
            return 302
        return self._send_bytes(200, reply.payload, content_type=reply.content_type)

    def _request(self, body: Json) -> Request:
        return Request(
            path=self.path, model=body.get("model", ""), schema_name=_form(body).get("name", ""),
            subject=subject_in(_last_message(body)), behaviour=self.server.next_behaviour(),
            retry_count=int(self.headers.get("x-stainless-retry-count") or 0),
            is_stream=bool(body.get("stream")), started_at=time.monotonic(), file_format=body.get("output_format", ""))

    def _answer(self, request: Request, body: Json) -> int:
        """The status that was sent. Raises ConnectionError when the client is gone."""
        behaviour = request.behaviour
        self._wait(lambda: self.server.slow_seconds if behaviour is Behaviour.SLOW else self.server.latency_of(request.subject))
        if behaviour.value[:3].isdigit():
            return self._send_fault(behaviour)
        if request.path == model_pictures.GENERATIONS and behaviour is not Behaviour.WEB_PAGE:
            return self._paint(request, body)
        if behaviour is Behaviour.WEB_PAGE:
            return self._send_bytes(200, b"<html><h1>Welcome to nginx!</h1></html>", content_type="text/html")
        if behaviour is Behaviour.GARBAGE:
            return self._send_bytes(
                200, b'data: {"choices": [\n\n', content_type=_EVENTS if request.is_stream else "application/json")
        text = self.server.texts(_last_message(body)) or answer_text(
            behaviour, schema=_form(body).get("schema", {}), concept=request.subject)
        return self._stream(request, body, text) if request.is_stream else self._complete(request, body, text)

    def _paint(self, request: Request, body: Json) -> int:
        behaviour = request.behaviour
        if request.file_format and not request.model.startswith("gpt-image"):
            return self._send(400, {"error": {"message": "Unknown parameter: 'output_format'.", "type": "invalid_request_error"}})
        if behaviour is Behaviour.REFUSAL:
            words = "Your request was rejected by our safety system."
            return self._send(400, {"error": {"message": words, "type": "invalid_request_error", "code": "moderation_blocked"}})
        payload = model_pictures.painted(
            behaviour, root=f"http://127.0.0.1:{self.server.server_address[1]}", file_format=request.file_format or "png")
        if behaviour not in (Behaviour.STALLED, Behaviour.CUT):
            return self._send_bytes(200, payload)
        self._start(200, "application/json", length=len(payload))
        self.wfile.write(payload[: len(payload) // 2])
        return self._break_off(behaviour)

    def _complete(self, request: Request, body: Json, text: str) -> int:
        behaviour = request.behaviour
        if behaviour is Behaviour.ERROR_EVENT:
            return self._send(200, {"error": {"message": FAULT_WORDS[behaviour], "code": 502}})
        message = {"role": "assistant", **_said(behaviour, text)}
        choice = {"index": 0, "message": message, "finish_reason": FINISH_REASONS.get(behaviour, "stop")}
        reply = {**_head(request, "chat.completion"), "choices": [choice], "usage": _usage(body, text)}
        payload = json.dumps(reply).encode()
        if behaviour in (Behaviour.STALLED, Behaviour.CUT, Behaviour.CUT_AT_THE_END, Behaviour.ENDED_EARLY):
            self._start(200, "application/json", length=len(payload))
            self.wfile.write(payload[: len(payload) // 2])
            return self._break_off(behaviour)
        return self._send_bytes(200, payload)

    def _stream(self, request: Request, body: Json, text: str) -> int:
        behaviour = request.behaviour
        self._start(200, _EVENTS, length=None)
        pieces = [] if behaviour is Behaviour.REFUSAL else tokens_of(text) if self.server.tokens_per_second else list(pieces_of(text))
        is_half = behaviour in (Behaviour.STALLED, Behaviour.CUT, Behaviour.ENDED_EARLY, Behaviour.ERROR_EVENT)
        self._send_delta(request, {"role": "assistant", **_said(behaviour, "")})
        began = time.monotonic()
        for sent, piece in enumerate(pieces[: len(pieces) // 2] if is_half else pieces, start=1):
            self._send_delta(request, {"content": piece})
            if rate := self.server.tokens_per_second:
                self._wait(lambda due=sent / rate: due, began)
            else:
                self._wait(lambda sent=sent: self.server.pause_after(sent))
        if behaviour in (Behaviour.STALLED, Behaviour.CUT, Behaviour.CUT_AT_THE_END):
            return self._break_off(behaviour)
        if behaviour is Behaviour.ERROR_EVENT:
            self._send_event({"error": {"message": FAULT_WORDS[behaviour], "type": "server_error", "code": 500}})
        elif behaviour is not Behaviour.ENDED_EARLY:
            self._send_delta(request, {}, finish_reason=FINISH_REASONS.get(behaviour, "stop"))
            if (body.get("stream_options") or {}).get("include_usage"):
                self._send_event(
                    {**_head(request, "chat.completion.chunk"), "choices": [], "usage": _usage(body, text)})
            self._send_event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")
        return 200

    def _break_off(self, behaviour: Behaviour) -> int:
        self.wfile.flush()
        if behaviour is Behaviour.STALLED:
            self._wait(lambda: self.server.slow_seconds)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        return 200

    def _wait(self, seconds: Callable[[], float], began: float | None = None) -> None:
        """Returns that time after `began` (now), or when the server stops. Raises ConnectionError when the client hangs up.

        The time is asked for again and again: what a test holds up, it can let go.
        """
        began = time.monotonic() if began is None else began
        try:
            while (left := began + seconds() - time.monotonic()) > 0 and not self.server.stopping.is_set():
                self.connection.settimeout(left := min(left, 0.1))
                try:
                    if not self.connection.recv(1, socket.MSG_PEEK):
                        raise ConnectionAbortedError("the client hung up")
                    self.server.stopping.wait(left)  # it sent its next request already: nothing to notice
                except TimeoutError:
                    continue
        finally:
            self.connection.settimeout(None)

    def _send_delta(self, request: Request, delta: Json, finish_reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        self._send_event({**_head(request, "chat.completion.chunk"), "choices": [choice]})

    def _send_event(self, event: Json) -> None:
        data = f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _send_fault(self, behaviour: Behaviour) -> int:
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        wait = self.server.retry_after_seconds if behaviour is Behaviour.RATE_LIMITED_WITH_WAIT else None
        return self._send_error(int(behaviour.value[:3]), FAULT_WORDS[behaviour].format(key=key), wait_seconds=wait)

    def _send_error(self, status: int, words: str, *, wait_seconds: float | None = None) -> int:
        error = {"message": words, "type": "loopback_error", "param": None, "code": None}
        return self._send(status, {"error": error}, wait_seconds=wait_seconds)

    def _send(self, status: int, reply: Json, *, wait_seconds: float | None = None) -> int:
        return self._send_bytes(status, json.dumps(reply).encode(), wait_seconds=wait_seconds)

    def _send_bytes(
        self, status: int, payload: bytes, *, content_type: str = "application/json", wait_seconds: float | None = None,
    ) -> int:
        self._start(status, content_type, length=len(payload), wait_seconds=wait_seconds)
        self.wfile.write(payload)
        return status

    def _start(
        self, status: int, content_type: str, *, length: int | None, wait_seconds: float | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        if wait_seconds is not None:
            self.send_header("retry-after", str(wait_seconds))
        self.end_headers()


def _form(body: Json) -> Json:
    return (body.get("response_format") or {}).get("json_schema") or {}


def _last_message(body: Json) -> str:
    return str(body["messages"][-1]["content"]) if "messages" in body else str(body.get("prompt", ""))


def _said(behaviour: Behaviour, text: str) -> Json:
    if behaviour is Behaviour.REFUSAL:
        return {"content": None, "refusal": "I cannot help with that topic."}
    return {"content": text, "refusal": None}


def _head(request: Request, kind: str) -> Json:
    return {"id": "chatcmpl-loopback", "object": kind, "created": int(time.time()), "model": request.model}


def _usage(body: Json, text: str) -> Json:
    prompt_tokens = sum(len(str(message["content"])) for message in body.get("messages", ())) // 4
    completion_tokens = len(text) // 4
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens}
