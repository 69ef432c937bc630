"""The application that all services start from, and the server that runs it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from uvicorn.protocols.http.h11_impl import H11Protocol

from vitrail.errors import VitrailError
from vitrail.serve.desk import Busy, Desk
from vitrail.serve.guard import Guard, Limits
from vitrail.serve.page import Shell

RETRY_SECONDS = 5
MAX_FAULTS = 10  # of one request, that are told
MAX_CONNECTIONS = 512
MAX_HEAD_BYTES = 32 << 10
GRACE_SECONDS = 10  # for requests that are worked on when the service is told to end


class Health(BaseModel):
    """That the service works, and with what."""

    status: str = Field(description="ok")
    version: str = Field(description="Of the system")
    weights: dict[str, str] = Field(description="sha256 of each network's weights")


def make_app(
    title: str,
    version: str,
    description: str,
    desk: Desk | None,
    *,
    hosts: Sequence[str],
    token: str | None = None,
    roles: Mapping[str, str] | None = None,
    limits: Limits = Limits(),
    page: Shell | None = None,
) -> FastAPI:
    """An application with ``/health`` and, if there is one, the ``page`` at ``/``.

    ``hosts`` are the names under which it may be called; ``token`` and ``roles`` as ``Guard`` takes
    them; ``desk`` is None only where nothing but the schema is asked for. A VitrailError becomes
    status 400 with its reason, Busy 503.
    """
    app = FastAPI(
        title=title,
        version=version,
        description=description,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )

    @app.exception_handler(VitrailError)
    def refuse(_: Request, error: VitrailError) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, 400)

    @app.exception_handler(RequestValidationError)
    def misunderstood(_: Request, error: RequestValidationError) -> JSONResponse:
        """What is wrong and where, without what was sent: that may be anything, of any size."""
        told = [{key: each[key] for key in ("type", "loc", "msg")} for each in error.errors()]
        return JSONResponse({"detail": told[:MAX_FAULTS]}, 422)

    @app.exception_handler(Busy)
    def busy(_: Request, error: Busy) -> JSONResponse:
        later = {"Retry-After": str(RETRY_SECONDS)}
        return JSONResponse({"detail": "too many requests at once, try again"}, 503, later)

    networks = desk.job.networks if desk else {}

    @app.get("/health", summary="Whether the service works")
    def health() -> Health:
        weights = {name: engine.weights for name, engine in networks.items()}
        return Health(status="ok", version=version, weights=weights)

    if page:

        @app.get("/", include_in_schema=False)
        def show() -> Response:
            return page.response()

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    public = ("/",) if page else ()
    app.add_middleware(Guard, token=token, roles=roles, limits=limits, public=public)
    return app


def serve(
    app: FastAPI,
    desk: Desk,
    *,
    host: str,
    port: int,
    proxies: Sequence[str] = (),
    limits: Limits = Limits(),
) -> None:
    """Serves until interrupted; what is worked on then may end, what waits is told.

    Whom a request comes from is the address that sent it, or what one of ``proxies`` says.
    """
    try:
        uvicorn.run(
            app,
            host=host,
            port=port,
            http=patient(limits.head_seconds),
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=GRACE_SECONDS,
            server_header=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
        )
    finally:
        desk.close()


def patient(seconds: float) -> type[H11Protocol]:
    """Uvicorn's protocol, which closes connections whose request's head does not come in
    ``seconds``: without that, a few half-sent heads would hold all connections."""

    class Patient(H11Protocol):
        head: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop()
            elif self.head is None:
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self.head = self.loop.call_later(seconds, self._give_up)

        def _stop(self) -> None:
            if self.head is not None:
                self.head.cancel()
                self.head = None

        def _give_up(self) -> None:
            self.head = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return Patient
