"""A stand-in for the hub: the few endpoints that huggingface_hub asks, served from memory."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40
NEWER_COMMIT = "b" * 40
LARGE = 64
"""Files from this many bytes on count as large: they have a sha256 (LFS)."""


@dataclass
class StandIn:
    """What the hub has and how it behaves; tests change it while it serves.

    Attributes:
        repositories: name -> commit -> path -> content. The last commit is "main".
        cut_after: close the connection after so many bytes of a body, so many times.
        corrupt: paths whose content arrives with one byte changed.
        ignore_range: answer range requests with the whole file.
        status: answer everything with this status instead.
        held: paths whose body stops in the middle until ``released`` is set.
        gets: (path, first byte) of every file download begun.
    """

    repositories: dict[str, dict[str, dict[str, bytes]]]
    cut_after: int = 0
    cuts_left: int = 0
    corrupt: set[str] = field(default_factory=set)
    ignore_range: bool = False
    status: int = 0
    held: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)
    gets: list[tuple[str, int]] = field(default_factory=list)
    requests: int = 0
    url: str = ""

    def commit(self, repository: str, revision: str) -> str | None:
        commits = self.repositories.get(repository, {})
        if revision == "main":
            return list(commits)[-1] if commits else None
        return revision if revision in commits else None


def checksum(content: bytes) -> str:
    if len(content) >= LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def serve(hub: StandIn) -> ThreadingHTTPServer:
    """Starts a server on a free port in a thread; ``shutdown`` and ``server_close`` end it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            hub.requests += 1
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if hub.status:
                self._error(hub.status, "")
            elif parts[:2] == ["api", "models"]:
                repository = "/".join(parts[2:4])
                commit = hub.commit(repository, parts[5] if len(parts) > 5 else "main")
                self._api(parts[4] if len(parts) > 4 else "revision", repository, commit)
            else:
                repository, revision, path = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
                self._file(repository, hub.commit(repository, revision), path, body)

        def _api(self, kind: str, repository: str, commit: str | None) -> None:
            if repository not in hub.repositories:
                return self._error(404, "RepoNotFound")
            if commit is None:
                return self._error(404, "RevisionNotFound")
            if kind == "revision":
                return self._json({"id": repository, "sha": commit, "siblings": [], "tags": []})
            return self._json(
                [
                    {
                        "type": "file",
                        "path": path,
                        "size": len(content),
                        "oid": checksum(content) if len(content) < LARGE else "0" * 40,
                        **(
                            {
                                "lfs": {
                                    "oid": checksum(content),
                                    "size": len(content),
                                    "pointerSize": 134,
                                }
                            }
                            if len(content) >= LARGE
                            else {}
                        ),
                    }
                    for path, content in hub.repositories[repository][commit].items()
                ]
            )

        def _file(self, repository: str, commit: str | None, path: str, body: bool) -> None:
            if commit is None or path not in hub.repositories[repository][commit]:
                return self._error(404, "EntryNotFound")
            content = hub.repositories[repository][commit][path]
            first, status = 0, 200
            wanted = self.headers.get("Range")
            if wanted and not hub.ignore_range:
                first, status = int(wanted.removeprefix("bytes=").split("-")[0]), 206
            etag = checksum(content)
            self.send_response(status)
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{etag}"')
            if len(content) >= LARGE:
                self.send_header("X-Linked-Etag", f'"{etag}"')
                self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Content-Length", str(len(content) - first))
            if status == 206:
                total = len(content)
                self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
            self.end_headers()
            if not body:
                return None
            hub.gets.append((path, first))
            sent = content[first:]
            if path in hub.corrupt:
                sent = bytes([sent[0] ^ 1]) + sent[1:]
            if hub.cuts_left > 0 and len(sent) > hub.cut_after:
                hub.cuts_left -= 1
                self.wfile.write(sent[: hub.cut_after])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return None
            if path in hub.held:
                self.wfile.write(sent[: len(sent) // 2])
                self.wfile.flush()
                hub.released.wait(60)
                sent = sent[len(sent) // 2 :]
            with suppress(ConnectionError):  # whoever asked may have left
                self.wfile.write(sent)
            return None

        def _json(self, data: object) -> None:
            content = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _error(self, status: int, code: str) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server
