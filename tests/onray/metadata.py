"""A metadata service as the clouds' own answer: EC2's (version 2, with tokens) and Compute Engine's."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Metadata:
    """What the service knows of one machine."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tokens: set[str] = set()
        self.end_s: float | None = None
        self.asked = 0

    def give_notice(self, left_s: float) -> None:
        self.end_s = time.time() + left_s

    def forget_tokens(self) -> None:
        """As after six hours."""
        self.tokens.clear()


@contextmanager
def metadata_service() -> Iterator[Metadata]:
    """The service on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if self.path != "/latest/api/token" or not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                return self._answer(400)
            machine.tokens.add(token := secrets.token_urlsafe())
            return self._answer(200, token)

        def do_GET(self) -> None:
            machine.asked += 1
            if self.path == "/computeMetadata/v1/instance/preempted":
                if self.headers.get("Metadata-Flavor") != "Google":
                    return self._answer(403)
                return self._answer(200, "FALSE" if machine.end_s is None else "TRUE")
            if self.headers.get("X-aws-ec2-metadata-token") not in machine.tokens:
                return self._answer(401)
            if self.path != "/latest/meta-data/spot/instance-action" or machine.end_s is None:
                return self._answer(404)
            end = datetime.fromtimestamp(machine.end_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return self._answer(200, json.dumps({"action": "terminate", "time": end}))

        def _answer(self, code: int, text: str = "") -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    machine = Metadata(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield machine
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
