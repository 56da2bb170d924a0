"""Who may ask, and the headers of every answer.

A page on the internet can make a browser send requests to 127.0.0.1.  Three things stand against it: the name of the
host that was asked must be one of ours (a foreign name that points to 127.0.0.1 is not), a request that says which page
it comes from must come from ours, and everything that tells of the run or computes asks for a token that only who
started the server has.  The token is compared in constant time.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
OPEN = frozenset(("/", "/page.css", "/page.js", "/icon.svg"))  # the empty page: it tells nothing of the run


class Guard:
    """The outermost part of the application: refuses what may not ask, and puts headers on every answer.

    Args:
        app: What is guarded.
        hosts: Names, with port where it is not 80, under which the server may be asked.
        token: What `Authorization: Bearer` must carry; None asks for none.
    """

    def __init__(self, app: App, hosts: Iterable[str], token: str | None):
        self.app, self.token = app, token
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = {name.encode(): value.encode() for name, value in HEADERS.items()}
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in own]
                message = {**message, "headers": [*kept, *own.items()]}
            await send(message)

        status, reason = self.refusal(scope)
        if status:
            await refuse(status, reason, with_headers)
        else:
            await self.app(scope, receive, with_headers)

    def refusal(self, scope: Scope) -> tuple[int, str]:
        """Return (status, reason) of a request that may not ask, (0, "") of one that may."""
        headers = scope["headers"]
        hosts = values(headers, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return 421, "this server is not asked under that name"
        for origin in values(headers, b"origin"):
            if origin.partition("://")[2].lower() not in self.hosts:
                return 403, "requests of other pages are not answered"
        if any(site not in ("same-origin", "none") for site in values(headers, b"sec-fetch-site")):
            return 403, "requests of other pages are not answered"
        if scope["path"] not in OPEN and not self.knows_token(headers):
            return 401, "give the token that `tinymed serve` printed: Authorization: Bearer TOKEN"
        return 0, ""

    def knows_token(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Say whether a request carries the token."""
        if self.token is None:
            return True
        given = values(headers, b"authorization")
        kind, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        return kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self.token.encode())


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Return the values of a header, as often as it was sent."""
    return [value.decode("latin-1") for key, value in headers if key == name]


async def refuse(status: int, reason: str, send: Send) -> None:
    """Answer with an error and close the connection, since the request's body stays unread."""
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
