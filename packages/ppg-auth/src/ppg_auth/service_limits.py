"""What a request may ask for before it is looked at: who sends it, how often, how much, how
slowly."""

import asyncio
import hmac
import json
import time
from collections import OrderedDict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 * 2**20
MOST_REQUESTS, PER_SECONDS = 60, 60.0  # of one client
SLOWEST_BODY = 30.0  # seconds
MOST_CLIENTS = 10_000


class Refused(Exception):
    """A request that gets an answer of its own: HTTP status and reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


class Limits:
    """Lets through only requests with the ``token`` (None: no token is asked for) and within the
    limits."""

    def __init__(self, app: ASGIApp, token: str | None = None):
        self._app, self._token = app, token
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check_token(scope)
            self._check_rate(scope)
            body = await self._read(scope, receive)
        except Refused as refusal:
            await _answer(send, refusal)
            return
        await self._app(scope, _replay(body, receive), send)

    def _check_token(self, scope: Scope) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if self._token and not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            raise Refused(401, "the token is missing or wrong")

    def _check_rate(self, scope: Scope) -> None:
        """A bucket of ``MOST_REQUESTS`` for each client, which fills again in ``PER_SECONDS``."""
        client, now = (scope.get("client") or ("",))[0], time.monotonic()
        left, then = self._buckets.pop(client, (float(MOST_REQUESTS), now))
        left = min(MOST_REQUESTS, left + (now - then) * MOST_REQUESTS / PER_SECONDS)
        self._buckets[client] = (max(left - 1, 0.0), now)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise Refused(429, "too many requests")

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > MOST_BYTES:
            raise Refused(413, f"the request is larger than {MOST_BYTES // 2**20} MiB")
        try:
            return await asyncio.wait_for(_collect(receive), SLOWEST_BODY)
        except TimeoutError:
            raise Refused(408, f"the request took over {SLOWEST_BODY:.0f} s to arrive") from None


async def _collect(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request was cut off")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise Refused(413, f"the request is larger than {MOST_BYTES // 2**20} MiB")
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body that was read already, once, and then whatever else comes."""
    waiting = [body]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again


async def _answer(send: Send, refusal: Refused) -> None:
    body = json.dumps({"detail": refusal.reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
