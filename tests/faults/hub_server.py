"""A hub on the loopback that can go wrong: the two questions of the client, and files, as the real one answers them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

COMMIT = "1" * 40


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked: ``kind`` is ``"api"``, ``"head"`` or ``"file"``; ``count`` is the how many-th of its kind."""

    kind: str
    file: str
    count: int
    range: str


@dataclasses.dataclass
class Answer:
    """What is answered.

    Attributes:
        status: The code.
        headers: Beside ``Content-Length``.
        body: What is sent.
        announced: ``Content-Length``, if that is not the body's.
        stall: Seconds of silence in the middle of the body.
        breaks: Whether the connection is closed instead of an answer, or after a body that is too short.
    """

    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    announced: int | None = None
    stall: float = 0.0
    breaks: bool = False


Fault = Callable[[Request, Answer], Answer]
"""Changes what is answered."""


def is_large(file: str) -> bool:
    """Whether a file is kept by its SHA-256, as the hub keeps large ones."""
    return file.endswith((".safetensors", ".bin"))


def etag_of(file: str, content: bytes) -> str:
    """Return the name of a file's content."""
    if is_large(file):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Hub:
    """A server with one model, ``someone/model``; use it as a context manager.

    Args:
        files: The model's files.

    Attributes:
        fault: What goes wrong; None for nothing.
        asked: All requests.
        address: Where it is.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.fault, self.asked = files, None, []
        self.done = threading.Event()

    def __enter__(self) -> Self:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def reset(self, fault: Fault | None = None) -> None:
        """Forget what was asked, and go wrong in another way."""
        self.fault, self.asked = fault, []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = handler.path.partition("?")[0]
        kind = "api" if path.startswith("/api/") else "head" if handler.command == "HEAD" else "file"
        file = path.rpartition("/")[2] if kind != "api" else ""
        count = 1 + sum((request.kind, request.file) == (kind, file) for request in self.asked)
        request = Request(kind, file, count, handler.headers.get("Range", ""))
        self.asked.append(request)
        answer = self._right_answer(request)
        self._send(handler, self.fault(request, answer) if self.fault else answer)

    def _right_answer(self, request: Request) -> Answer:
        if request.kind == "api":
            siblings = [self._sibling(file, content) for file, content in self.files.items()]
            body = {"id": "someone/model", "modelId": "someone/model", "sha": COMMIT, "siblings": siblings}
            return Answer(headers={"Content-Type": "application/json"}, body=json.dumps(body).encode())
        if request.file not in self.files:
            return Answer(404, {"X-Error-Code": "EntryNotFound"})
        content = self.files[request.file]
        headers = {"ETag": f'"{etag_of(request.file, content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if is_large(request.file):
            headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(len(content))}
        if request.range and request.kind == "file":
            start = int(request.range.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return Answer(206, headers, content[start:])
        return Answer(200, headers, content)

    def _sibling(self, file: str, content: bytes) -> dict[str, Any]:
        sibling: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": etag_of("x.json", content)}
        if is_large(file):
            sibling["lfs"] = {"sha256": etag_of(file, content), "size": len(content), "pointerSize": 134}
        return sibling

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        handler.close_connection = True
        if answer.breaks and not answer.body:
            handler.connection.close()
            return
        try:
            handler.send_response(answer.status)
            for name, value in answer.headers.items():
                handler.send_header(name, value)
            handler.send_header(
                "Content-Length", str(len(answer.body) if answer.announced is None else answer.announced)
            )
            handler.send_header("Connection", "close")
            handler.end_headers()
            if handler.command == "HEAD":
                return
            half = len(answer.body) // 2
            handler.wfile.write(answer.body[:half])
            if answer.stall:
                handler.wfile.flush()
                self.done.wait(answer.stall)
            handler.wfile.write(answer.body[half:])
        except (BrokenPipeError, ConnectionResetError):
            return
