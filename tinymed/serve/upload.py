"""One file out of a request of `multipart/form-data`, kept in memory, within limits of bytes and seconds."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from .limits import Limits

FIELD = "image"
PARTS, FIELD_BYTES = 4, 4096  # of a form


class Upload(NamedTuple):
    """A file that was sent: its content, its name as the sender has it, and the form's other fields."""

    content: bytes
    name: str
    fields: dict[str, str]


async def read_upload(request: Request, limits: Limits) -> Upload:
    """Return the file in the field "image" of a request.

    Raises HTTPException: 408 it came too slowly, 411 or 413 it is too large, 400 it is no such form.
    """
    length = request.headers.get("content-length", "")
    if length and (not length.isdecimal() or int(length[:20]) > limits.upload):
        raise HTTPException(413, f"more than the limit of {limits.upload:,} bytes")
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(415, f"send the image as multipart/form-data, in a field called {FIELD}")
    try:
        async with asyncio.timeout(limits.receive):
            form = await form_of(request, limits)
    except TimeoutError:
        raise HTTPException(408, f"the request took more than {limits.receive:g} s to arrive") from None
    except ClientDisconnect:
        raise HTTPException(400, "the request broke off") from None
    except HTTPException:
        raise
    except (MultiPartException, ValueError, KeyError, UnicodeError) as error:
        told = error.message if isinstance(error, MultiPartException) else "it cannot be read"
        raise HTTPException(400, f"the form is damaged: {told}") from None
    try:
        files = [value for key, value in form.multi_items() if key == FIELD and isinstance(value, UploadFile)]
        if len(files) != 1:
            raise HTTPException(400, f"send one image, in a field called {FIELD}; got {len(files)}")
        content = await files[0].read()
    finally:
        await form.close()
    if not content:
        raise HTTPException(400, "the image is empty")
    fields = {key: value for key, value in form.multi_items() if isinstance(value, str)}
    return Upload(content, files[0].filename or "", fields)


async def form_of(request: Request, limits: Limits) -> Any:
    """Return the form of a request; no part of it is written to a disk."""

    async def counted() -> AsyncGenerator[bytes, None]:
        seen = 0
        async for chunk in request.stream():
            seen += len(chunk)
            if seen > limits.upload:
                raise HTTPException(413, f"more than the limit of {limits.upload:,} bytes")
            yield chunk

    parser = MultiPartParser(request.headers, counted(), max_files=PARTS, max_fields=PARTS, max_part_size=FIELD_BYTES)
    parser.spool_max_size = limits.upload + 1
    try:
        return await parser.parse()
    except BaseException:  # Starlette closes the parts after its own errors alone
        for part in parser._files_to_close_on_error:
            part.close()
        raise
