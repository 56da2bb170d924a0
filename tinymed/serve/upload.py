"""One file out of a request of `multipart/form-data`, kept in memory, within limits of bytes and seconds."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

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
            parts = await form_of(request, limits)
    except TimeoutError:
        raise HTTPException(408, f"the request took more than {limits.receive:g} s to arrive") from None
    except ClientDisconnect:
        raise HTTPException(400, "the request broke off") from None
    except HTTPException:
        raise
    except (MultiPartException, ValueError, KeyError, UnicodeError) as error:
        told = error.message if isinstance(error, MultiPartException) else "it cannot be read"
        raise HTTPException(400, f"the form is damaged: {told}") from None
    files = [(value, name) for key, value, name in parts if key == FIELD and isinstance(value, bytes)]
    if len(files) != 1:
        raise HTTPException(400, f"send one image, in a field called {FIELD}; got {len(files)}")
    content, name = files[0]
    if not content:
        raise HTTPException(400, "the image is empty")
    return Upload(content, name, {key: value for key, value, _ in parts if isinstance(value, str)})


async def form_of(request: Request, limits: Limits) -> list[tuple[str, bytes | str, str]]:
    """Return (field, content, name) of each part of a form, bytes of a file; no part is written to a disk."""

    async def counted() -> AsyncGenerator[bytes, None]:
        seen = 0
        async for chunk in request.stream():
            seen += len(chunk)
            if seen > limits.upload:
                raise HTTPException(413, f"more than the limit of {limits.upload:,} bytes")
            yield chunk

    parser = MultiPartParser(request.headers, counted(), max_files=PARTS, max_fields=PARTS, max_part_size=FIELD_BYTES)
    parser.spool_max_size = limits.upload + 1
    found: list[tuple[str, bytes | str, str]] = []
    try:
        for key, value in (await parser.parse()).multi_items():
            if isinstance(value, UploadFile):
                found.append((key, await value.read(), value.filename or ""))
            else:
                found.append((key, value, ""))
    finally:  # also of a part that never ended, which is in no form
        for file in parser._files_to_close_on_error:
            file.close()
    return found
