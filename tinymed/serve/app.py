"""The application: an empty page that anyone on this machine may load, and two endpoints that ask for the token.

GET  /            the page; with /page.css, /page.js and /icon.svg
GET  /about       what the run is
POST /predict     multipart/form-data with one file "image", perhaps "explain=0"; answers with JSON
"""

import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import UserError
from .answers import NOTICE, Answers
from .guard import Guard
from .upload import read_upload
from .worker import QueueFull, Worker

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def make_app(answers: Answers, hosts: Iterable[str], token: str | None) -> Guard:
    """Return the application as an ASGI server takes it.

    Args:
        answers: What answers.
        hosts: Names, with ports, under which the server may be asked.
        token: What requests must carry; None for none.

    Returns:
        The application, guarded.
    """
    worker = Worker(answers.limits.queue)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        yield
        worker.close()

    async def about(_: Request) -> Response:
        return JSONResponse(answers.about())

    async def predict(request: Request) -> Response:
        upload = await read_upload(request, answers.limits)
        explained = upload.fields.get("explain", "1") not in ("0", "false", "no")
        limit = answers.limits.answer
        try:
            found = await worker.run(answers.answer, upload.content, upload.name, explained, timeout=limit)
        except QueueFull as full:
            headers = {"retry-after": str(full.seconds)}
            return error_response(503, "the network is busy and its queue full; come again", headers)
        except TimeoutError:
            return error_response(504, f"there was no answer within {limit:g} s")
        except UserError as error:
            return error_response(422, str(error))
        return JSONResponse(found)

    routes = [Route(path, page(*FILES[path]), methods=["GET"]) for path in FILES]
    routes += [Route("/about", about, methods=["GET"]), Route("/predict", predict, methods=["POST"])]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: on_http_error, Exception: on_failure},
    )
    return Guard(app, hosts, token)


def page(name: str, kind: str) -> Any:
    """Return the endpoint of a file of the page."""
    content = files(__package__).joinpath(name).read_bytes()

    async def endpoint(_: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return endpoint


def error_response(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as JSON."""
    return JSONResponse({"error": reason, "notice": NOTICE}, status, headers)


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer what Starlette or `read_upload` refuse."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {}) | ({"connection": "close"} if error.status_code in (408, 413) else {})
    return error_response(error.status_code, error.detail, headers)


async def on_failure(_: Request, error: Exception) -> Response:
    """Answer a fault of ours without telling more than its kind, which is also written where the server was started."""
    sys.stderr.write(f"tinymed serve: {type(error).__name__} while answering\n")
    return error_response(500, f"the server failed ({type(error).__name__})")
