"""A real HTTP proxy in front of a real S3 server that misbehaves at a given rate, by a seeded schedule.

It speaks plain HTTP/1.1 with keep-alive, forwards every byte that is signed as it came, and counts what it did.
"""

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import TracebackType
from urllib.parse import urlsplit

KINDS = (
    "500",
    "503 SlowDown",
    "200 with an error inside",
    "reset before",
    "reset after",
    "stall before",
    "stall after",
    "truncated",
    "answered twice",
    "answered twice, late",
    "forwarded twice",
    "denied success",
)
_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>by the proxy</Message></Error>'
_LINGER_NOT = struct.pack("ii", 1, 0)
# Headers that concern one connection only, or that are written anew.
_HOP = ("transfer-encoding", "content-length", "keep-alive", "expect")


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def is_write(self) -> bool:
        return self.method in ("PUT", "POST", "DELETE")


@dataclass(frozen=True)
class Answer:
    """status line, headers and body as bytes that can be sent, and how many of them are the body."""

    data: bytes
    n_body: int


class Proxy(ThreadingTCPServer):
    """Listens on 127.0.0.1 while the `with` block runs. url: where clients go. counts: what was done to requests.

    rate: share of requests that suffer one of `kinds`. stall_s: longer than clients wait. after: requests that are
    left in peace first. one_by_one: the server gets one request at a time, for one that checks a condition and writes
    in two steps (moto).
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        behind: str,
        rate: float,
        seed: int,
        kinds: Sequence[str] = KINDS,
        stall_s: float = 3.0,
        after: int = 0,
        one_by_one: bool = False,
    ) -> None:
        assert set(kinds) <= set(KINDS)
        print(f"proxy: rate {rate}, seed {seed}")
        super().__init__(("127.0.0.1", 0), _Connection)
        self.behind = urlsplit(behind).netloc
        self.rate, self.kinds, self.stall_s = rate, tuple(kinds), stall_s
        self.counts: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._peace = after
        self._turn: AbstractContextManager[object] = threading.Lock() if one_by_one else nullcontext()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def n_faults(self) -> int:
        return sum(n for kind, n in self.counts.items() if kind != "left alone")

    def fault(self) -> str:
        """What the next request suffers; "" for nothing."""
        with self._lock:
            if self._peace > 0:
                self._peace -= 1
                kind = ""
            else:
                kind = self._random.choice(self.kinds) if self._random.random() < self.rate else ""
            self.counts[kind or "left alone"] += 1
            return kind

    def forward(self, request: Request) -> Answer:
        """What the server says. Every request has a connection of its own behind the proxy."""
        with self._turn:
            return self._forward(request)

    def _forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in _HOP:
                    connection.putheader(name, value)
            if request.is_write or request.body:
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body or None)
            answer = connection.getresponse()
            return _answer(answer, answer.read(), request)
        finally:
            connection.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()


class _Connection(StreamRequestHandler):
    """One client's connection: request after request, until either side ends it."""

    server: Proxy
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.late: bytes | None = None

    def handle(self) -> None:
        while (request := self._read()) is not None and not self.server.stopping.is_set():
            if self.late is not None:
                # The copy of an earlier answer comes where this one's is expected, and this request gets lost.
                self._send(self.late)
                self.late = None
                continue
            if not self._serve(request, self.server.fault()) or self._is_last(request):
                return

    def _serve(self, request: Request, fault: str) -> bool:
        """False where the connection is over."""
        if fault == "500":
            return self._refuse(request, 500, "InternalError")
        if fault == "503 SlowDown":
            return self._refuse(request, 503, "SlowDown")
        if fault == "200 with an error inside":
            # The answer to HEAD has no inside.
            return self._refuse(request, 500 if request.method == "HEAD" else 200, "InternalError")
        if fault == "reset before":
            return self._reset()
        if fault == "stall before":
            return self._stall()
        answer = self.server.forward(request)
        if fault == "forwarded twice":
            answer = self.server.forward(request)
        if fault == "reset after":
            return self._reset()
        if fault == "stall after":
            return self._stall()
        if fault == "denied success":
            return self._refuse(request, 500, "InternalError")
        if fault == "truncated":
            self._send(answer.data[: len(answer.data) - max(1, answer.n_body // 2)])
            return False
        self._send(answer.data)
        if fault == "answered twice":
            self._send(answer.data)
        if fault == "answered twice, late":
            self.late = answer.data
        return True

    def _refuse(self, request: Request, status: int, code: str) -> bool:
        body = b"" if request.method == "HEAD" else _ERROR.format(code).encode()
        head = f"HTTP/1.1 {status} By The Proxy\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        if self._is_last(request):
            head += "Connection: close\r\n"
        self._send(f"{head}\r\n".encode() + body)
        return True

    def _reset(self) -> bool:
        """As a peer that vanishes: the client reads a reset, not an end."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.request.close()
        return False

    def _stall(self) -> bool:
        self.server.stopping.wait(self.server.stall_s)
        return False

    @staticmethod
    def _is_last(request: Request) -> bool:
        return "close" in (request.headers.get("Connection") or "").lower()

    def _send(self, data: bytes) -> None:
        self.request.sendall(data)

    def _read(self) -> Request | None:
        """The next request; None where the client has gone."""
        with suppress(ConnectionError, TimeoutError):
            line = self.rfile.readline(65537).decode("latin-1").split()
            if len(line) == 3:
                headers = http.client.parse_headers(self.rfile)
                if (headers.get("Expect") or "").lower() == "100-continue":
                    self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = self.rfile.read(int(headers.get("Content-Length") or 0))
                return Request(line[0], line[1], headers, body)
        return None

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()


def _answer(answer: http.client.HTTPResponse, body: bytes, request: Request) -> Answer:
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.getheaders() if name.lower() not in (*_HOP, "connection")]
    length = answer.getheader("Content-Length") if request.method == "HEAD" else str(len(body))
    if length is not None and answer.status != 204:
        lines.append(f"Content-Length: {length}")
    if _Connection._is_last(request):
        lines.append("Connection: close")
    return Answer("\r\n".join([*lines, "", ""]).encode("latin-1") + body, len(body))
