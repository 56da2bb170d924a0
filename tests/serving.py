"""A server of `tinymed serve` in this process, and files to send it: shared by test_serve and test_serve_browser."""

import asyncio
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinymed.cli.serving import bound, names_of, open_answers
from tinymed.serve import Limits, make_app

TOKEN = "secret-token-of-the-tests"  # noqa: S105 - of a server that lives for a test


def picture(seed: int = 0, side: int = 40, form: str = "PNG") -> bytes:
    """A small image file of random colours."""
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(content, form)
    return content.getvalue()


def slowed(answers: Any, seconds: float) -> Any:
    """The same, each answer of which takes longer."""
    answer = answers.answer

    def slow(*arguments: Any) -> dict[str, Any]:
        time.sleep(seconds)
        found: dict[str, Any] = answer(*arguments)
        return found

    answers.answer = slow
    return answers


@contextmanager
def server(run: Path, limits: Limits | None = None, seconds: float = 0.0, token: str | None = TOKEN) -> Iterator[str]:
    """Serve a run at a free port of this machine; gives its address."""
    import uvicorn

    answers = open_answers(run, None, "numpy", limits or Limits())
    if seconds:
        answers = slowed(answers, seconds)
    listening = bound(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = make_app(answers, names_of("127.0.0.1", port, []), token)
    config = uvicorn.Config(app, log_level="error", ws="none", http="h11", timeout_graceful_shutdown=2)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listening])), daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive(), "the server ended as it began"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join(20)
        listening.close()


def raw(address: str, request: bytes, wait: float = 10.0) -> bytes:
    """What the server answers to bytes as they are."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), wait) as connection:
        connection.sendall(request)
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except (TimeoutError, ConnectionError):
            pass
    return received
