"""A stand-in for an OpenAI-compatible server, which remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class StubChat:
    """How it answers; tests change it while it serves.

    Attributes:
        asked: (path, authorisation, body) of every request.
    """

    answer: str = "A red fox sits in fresh snow, soft morning light."
    status: int = 200
    content: bytes | None = None
    location: str = ""
    delay_s: float = 0.0
    url: str = ""
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)


@contextmanager
def stub_chat() -> Iterator[StubChat]:
    """Serves on a free port while this lasts; ``url`` is the base address."""
    stub = StubChat()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.asked.append((self.path, self.headers.get("Authorization", ""), body))
            time.sleep(stub.delay_s)
            reply = {"choices": [{"message": {"role": "assistant", "content": stub.answer}}]}
            content = json.dumps(reply).encode() if stub.content is None else stub.content
            self.send_response(stub.status)
            if stub.location:
                self.send_header("Location", stub.location)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
