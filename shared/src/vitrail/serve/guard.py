"""What a request may ask for before it is looked at: who sends it, in which role, from where, how
often, how much, how slowly."""

import asyncio
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_CLIENTS = 10_000  # whose requests are counted
USER = "user"  # the role of who has the service's common token
_ROLE = "vitrail.role"


@dataclass(frozen=True)
class Limits:
    """``max_bytes`` of one request, ``max_held`` of all that are read at the same time;
    ``max_requests`` and ``max_guesses`` at a token of one client in ``period`` seconds; seconds for
    a request's head, for its body and for each part of the answer to pass.
    """

    max_bytes: int = 64 << 20
    max_held: int = 512 << 20
    max_requests: int = 60
    max_guesses: int = 5
    period: float = 60.0
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    answer_seconds: float = 30.0


class Refused(Exception):
    """A request that gets an answer of its own: HTTP status and reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


class Guard:
    """Lets through only requests that keep the limits, come from no page of another origin and
    carry the ``token`` as their bearer token (None: none is asked for), or that of a role.

    ``roles`` are tokens by role, for paths that ``needs_role`` guards. Paths in ``public`` need no
    token: a page that holds nothing of anybody, and asks for it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None = None,
        roles: Mapping[str, str] | None = None,
        limits: Limits = Limits(),
        public: Collection[str] = (),
    ):
        self._app, self._token, self._limits, self._public = app, token, limits, public
        self._tokens = {**({USER: token} if token else {}), **(roles or {})}
        self._requests = _Buckets(limits.max_requests, limits.period)
        self._guesses = _Buckets(limits.max_guesses, limits.period)
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        parts: list[bytes] = []
        try:
            self._check(scope)
            if scope["type"] == "http":
                await self._read(scope, receive, parts)
                receive = _replay(parts, receive)
            await self._app(scope, receive, self._in_time(send))
        except Refused as refusal:
            await _refuse(scope, receive, send, refusal)
        finally:
            self._held -= sum(map(len, parts))

    def _check(self, scope: Scope) -> None:
        headers, client = dict(scope["headers"]), (scope.get("client") or ("",))[0]
        if not self._requests.take(client):  # before the token, so that guesses at it are counted
            raise Refused(429, "too many requests")
        _check_origin(headers)
        given = headers.get(b"authorization", b"")
        if given and self._tokens and self._guesses.left(client) < 1:
            # Not even the right one: an answer would tell it from the wrong ones
            raise Refused(429, "too many wrong tokens, try again later")
        scope[_ROLE] = role = self._role(given)
        if given and self._tokens and role is None:
            self._guesses.take(client)
        if self._token and role is None and scope["path"] not in self._public:
            raise Refused(401, "the token is missing or wrong")

    def _role(self, given: bytes) -> str | None:
        """Whose bearer token it is; all are compared, so that time tells nothing."""
        same = {
            role: hmac.compare_digest(given, f"Bearer {token}".encode())
            for role, token in self._tokens.items()
        }
        return next((role for role, is_same in same.items() if is_same), None)

    async def _read(self, scope: Scope, receive: Receive, parts: list[bytes]) -> None:
        """Takes the body, a part at a time, into ``parts``."""
        limits = self._limits
        too_large = Refused(413, f"the request is larger than {limits.max_bytes / (1 << 20):g} MiB")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > limits.max_bytes:
            raise too_large
        try:
            async with asyncio.timeout(limits.body_seconds):
                size, more = 0, True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the request was cut off")
                    part, more = message.get("body", b""), message.get("more_body", False)
                    parts.append(part)
                    self._held += len(part)
                    size += len(part)
                    if size > limits.max_bytes:
                        raise too_large
                    if self._held > limits.max_held:
                        raise Refused(503, "too much is sent at once, try again")
        except TimeoutError:
            problem = f"the request took over {limits.body_seconds:g} s to arrive"
            raise Refused(408, problem) from None

    def _in_time(self, send: Send) -> Send:
        """Gives up on a client that does not take its answer: the connection is closed."""

        async def timed(message: Message) -> None:
            try:
                async with asyncio.timeout(self._limits.answer_seconds):
                    await send(message)
            except TimeoutError:
                raise OSError("the client does not take its answer") from None

        return timed


class _Buckets:
    """For each client a bucket of ``limit``, which fills again in ``period`` seconds."""

    def __init__(self, limit: int, period: float):
        self._limit, self._period = limit, period
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, client: str) -> float:
        left, then = self._buckets.get(client, (float(self._limit), 0.0))
        return min(self._limit, left + (time.monotonic() - then) * self._limit / self._period)

    def take(self, client: str) -> bool:
        """Whether there was one to be taken."""
        left = self.left(client)
        self._buckets[client] = (max(left - 1, 0.0), time.monotonic())
        self._buckets.move_to_end(client)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1


def needs_role(role: str) -> Callable[[Request], None]:
    """A dependency of paths that only callers with the token of ``role`` may ask for."""

    def check(request: Request) -> None:
        if request.scope.get(_ROLE) != role:
            raise HTTPException(403, f"this needs the token of the role {role}")

    return check


def _check_origin(headers: dict[bytes, bytes]) -> None:
    """A page of somebody else's may make a browser send requests here, but not without saying
    whose it is; that the host is ours is looked at elsewhere."""
    origin = headers.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != headers.get(b"host"):
        raise Refused(403, "pages of another origin may not ask")


def _replay(parts: list[bytes], receive: Receive) -> Receive:
    """The body that was read already, once, and then whatever else comes."""
    waiting = [b"".join(parts)]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refused) -> None:
    if scope["type"] == "websocket":
        await receive()  # the wish to connect, which closing answers
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason})
        return
    body = json.dumps({"detail": refusal.reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
