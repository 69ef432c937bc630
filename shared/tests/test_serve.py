"""The service around a toy job: shared batches, guards, and a real server that slow clients cannot
stop."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs vitrail[serve]")
from fastapi import Depends, UploadFile, WebSocket
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from uvicorn import Config

from vitrail.cli import _load
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.job import Ask
from vitrail.options import Serving
from vitrail.serve import (
    Busy,
    Desk,
    Limits,
    Shell,
    job_app,
    make_app,
    needs_role,
    received,
    serve,
)
from vitrail.sources import Source

CALLERS = 6


class Doubling:
    """An engine that doubles numbers, refuses 13, and notes its batches; while ``free`` is not set,
    it computes nothing."""

    name, device, weights = "toy", "cpu", "0" * 64

    def __init__(self):
        self.batches: list[list[float]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch.tolist())
        assert self.free.wait(20)
        if 13 in batch:
            raise ArithmeticError("13")
        return 2 * batch


class Numbers:
    """Doubles the numbers in a file."""

    def __init__(self):
        self.engine = Doubling()
        self.networks = {"double": self.engine}

    def process(self, source: Source):
        try:
            numbers = [np.float64(word) for word in source.path.read_text().split()]
        except ValueError:
            raise InputError(source.name, "holds no numbers", "send numbers") from None
        rows = yield Ask("double", numbers)
        return [float(row) for row in rows]


def source(folder: Path, text: str) -> Source:
    path = folder / f"{text.replace(' ', '-')}.txt"
    path.write_text(text)
    return Source.of(path)


def together(desk: Desk, sources: list[Source]) -> list:
    """What each of several callers gets who come while the network is at work on another's."""
    engine, outcomes = desk.job.engine, [None] * len(sources)

    def call(number: int) -> None:
        try:
            outcomes[number] = desk.run(sources[number])
        except Exception as error:
            outcomes[number] = error

    engine.free.clear()
    callers = [threading.Thread(target=call, args=(n,)) for n in range(len(sources))]
    callers[0].start()
    until(lambda: engine.batches)
    for caller in callers[1:]:
        caller.start()
    until(lambda: len(desk._shared._calls) == len(sources) - 1)
    engine.free.set()
    for caller in callers:
        caller.join(20)
    return outcomes


def until(true, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


def test_callers_share_a_batch_and_each_gets_its_own_rows(tmp_path):
    desk = Desk(Numbers(), batch_size=8)
    texts = [f"{n} {n}.5" for n in range(CALLERS)]
    outcomes = together(desk, [source(tmp_path, text) for text in texts])
    assert outcomes == [[2.0 * n, 2.0 * n + 1] for n in range(CALLERS)]
    first, second, third = desk.job.engine.batches
    assert len(first) == 2 and len(second) == 8 and len(third) == 2


def test_one_bad_request_touches_no_other(tmp_path):
    desk = Desk(Numbers(), batch_size=16)
    sources = [source(tmp_path, text) for text in ("1", "2", "3 13", "4")]
    one, two, bad, four = together(desk, sources)
    assert (one, two, four) == ([2.0], [4.0], [8.0]) and isinstance(bad, ArithmeticError)
    with pytest.raises(InputError, match="holds no numbers"):
        desk.run(source(tmp_path, "none"))
    assert desk.run(source(tmp_path, "5")) == [10.0]


def test_rows_that_are_too_few_are_nobodys(tmp_path):
    job = Numbers()
    job.networks = {"double": lambda batch: batch[:1]}
    with pytest.raises(ValueError, match="rows came back"):
        Desk(job).run(source(tmp_path, "1 2"))


def test_several_outputs_are_cut_for_each_caller(tmp_path):
    job = Numbers()
    job.engine.__class__ = type("Pair", (Doubling,), {"__call__": pair})
    job.process = lambda source: both(source)
    outcomes = together(Desk(job), [source(tmp_path, text) for text in ("1", "2", "3 4")])
    assert outcomes == [[(1, -1)], [(2, -2)], [(3, -3), (4, -4)]]


def pair(engine: Doubling, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return Doubling.__call__(engine, batch) / 2, -batch


def both(source: Source):
    rows = yield Ask("double", [np.float64(word) for word in source.path.read_text().split()])
    return [tuple(map(float, row)) for row in rows]


def test_a_place_is_waited_for_and_the_queue_is_bounded():
    desk = Desk(Numbers(), at_once=1, waiting=1, patience=0.05)
    with desk.place():
        refused = []

        def wait() -> None:
            try:
                with desk.place():
                    refused.append("no")
            except Busy:
                refused.append("waited in vain")

        waiting = threading.Thread(target=wait)
        waiting.start()
        until(lambda: desk._queue._value == 0 or refused)
        if not refused:
            with pytest.raises(Busy), desk.place():
                pass
        waiting.join()
        assert refused == ["waited in vain"]
    with desk.place():
        pass


def test_who_waits_when_the_service_ends_is_told(tmp_path):
    desk = Desk(Numbers(), batch_size=1)
    closing = threading.Timer(0.2, desk.close)
    closing.start()
    engine, outcomes = desk.job.engine, []
    engine.free.clear()

    def call(text: str) -> None:
        try:
            outcomes.append(desk.run(source(tmp_path, text)))
        except RuntimeError as error:
            outcomes.append(str(error))
            engine.free.set()

    callers = [threading.Thread(target=call, args=(text,)) for text in ("1", "2")]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert "the service is ending" in outcomes
    with pytest.raises(RuntimeError, match="is ending"):
        desk.run(source(tmp_path, "3"))


def app_of(desk: Desk, **options):
    app = make_app("toy", "1.0", "Doubles.", desk, hosts=["testserver"], **options)

    @app.post("/double")
    def double(file: UploadFile) -> list[float]:
        with desk.place(), received(file, {".txt"}) as upload:
            return desk.run(upload)

    @app.websocket("/live")
    async def live(connection: WebSocket) -> None:
        await connection.accept()
        await connection.send_text("hello")
        await connection.close()

    return app


@pytest.fixture
def client() -> TestClient:
    return TestClient(app_of(Desk(Numbers())))


def send(client: TestClient, text: str = "1 2", name: str = "x.txt", **headers):
    return client.post("/double", files={"file": (name, text)}, headers=headers)


def test_an_upload_is_answered(client):
    assert send(client).json() == [2.0, 4.0]
    assert send(client, "none").status_code == 400
    assert send(client, name="../../x.exe").status_code == 415
    assert client.get("/health").json() == {
        "status": "ok", "version": "1.0", "weights": {"double": "0" * 64}
    }  # fmt: skip
    assert client.get("/docs").status_code == client.get("/").status_code == 404


def test_a_busy_service_says_so(monkeypatch):
    desk = Desk(Numbers(), at_once=1, waiting=0)
    client = TestClient(app_of(desk))
    with desk.place():
        answer = send(client)
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
    assert send(client).status_code == 200


@pytest.mark.parametrize(
    "origin, status",
    [
        ("http://testserver", 200),
        ("https://testserver", 200),
        ("http://evil.example", 403),
        ("http://testserver.evil.example", 403),
        ("http://testserver:81", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_pages_of_another_origin_may_not_ask(client, origin, status):
    assert send(client, origin=origin).status_code == status


def test_another_host_name_is_refused(client):
    assert send(client, host="evil.example").status_code == 400
    # A name that somebody made to lead here is both the host and the origin.
    assert send(client, host="evil.example", origin="http://evil.example").status_code == 400


def test_a_token_is_asked_of_everyone_and_guesses_are_counted():
    page = Shell("Toy", "<p>hello</p>")
    limits = Limits(max_requests=8)
    client = TestClient(app_of(Desk(Numbers()), token="secret", page=page, limits=limits))
    for given in ("", "Bearer", "Bearer wrong", "secret"):
        assert send(client, authorization=given).status_code == 401
    assert send(client, authorization="Bearer secret").json() == [2.0, 4.0]
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/live"):
        pass
    assert client.get("/").status_code == 200, "the page itself holds nothing"
    statuses = {send(client, authorization=f"Bearer {n}").status_code for n in range(5)}
    assert statuses == {401, 429}


def test_after_a_few_wrong_tokens_not_even_the_right_one_tells(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("vitrail.serve.guard.time", SimpleNamespace(monotonic=lambda: now[0]))
    client = TestClient(app_of(Desk(Numbers()), token="secret", limits=Limits(max_guesses=3)))
    for guess in range(3):
        assert send(client, authorization=f"Bearer {guess}").status_code == 401
    for given in ("Bearer 4", "Bearer secret"):
        assert send(client, authorization=given).status_code == 429
    assert send(client).status_code == 401, "who sends none guesses nothing"
    now[0] += 21
    assert send(client, authorization="Bearer secret").status_code == 200


def test_roles_have_tokens_of_their_own():
    app = app_of(Desk(Numbers()), token="common", roles={"admin": "rare"})

    @app.get("/secret", dependencies=[Depends(needs_role("admin"))])
    def secret() -> str:
        return "told"

    client = TestClient(app)
    statuses = {
        token: client.get("/secret", headers={"authorization": f"Bearer {token}"}).status_code
        for token in ("common", "rare", "neither")
    }
    assert statuses == {"common": 403, "rare": 200, "neither": 401}
    assert send(client, authorization="Bearer rare").status_code == 200


@pytest.mark.parametrize(
    "token, options, problem",
    [
        (None, {}, "set TOY_TOKEN, or say --insecure-no-token"),
        (None, {"insecure_no_token": True, "host": "0.0.0.0"}, "reached from other machines"),
        (None, {"insecure_no_token": True, "host": "toy.example"}, "reached from other machines"),
        ("secret", {"insecure_no_token": True}, "is set too"),
    ],
)
def test_a_service_without_a_token_is_asked_for_and_stays_here(
    monkeypatch, token, options, problem
):
    if token:
        monkeypatch.setenv("TOY_TOKEN", token)
    with pytest.raises(UsageError, match=problem):
        Serving(**options).token("TOY_TOKEN")


def test_a_service_has_a_token_or_is_this_machines_own(monkeypatch):
    for host in ("127.0.0.1", "localhost", "::1"):
        assert Serving(host, insecure_no_token=True).token("TOY_TOKEN") is None
    monkeypatch.setenv("TOY_TOKEN", "secret")
    assert Serving("0.0.0.0").token("TOY_TOKEN") == "secret"


@pytest.mark.parametrize("proxies, seen", [((), "127.0.0.1"), (("127.0.0.1",), "10.9.8.7")])
def test_only_a_named_proxy_says_whom_a_request_comes_from(monkeypatch, proxies, seen):
    """Whoever is on this machine could else be another client at each guess."""
    given = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **options: given.update(options))
    desk = Desk(Numbers())
    serve(app_of(desk), desk, host="127.0.0.1", port=1, proxies=proxies)
    config = Config(whose, proxy_headers=given["proxy_headers"],
                    forwarded_allow_ips=given["forwarded_allow_ips"])  # fmt: skip
    config.load()
    client = TestClient(config.loaded_app, client=("127.0.0.1", 5))
    assert client.get("/", headers={"X-Forwarded-For": "10.9.8.7"}).text == seen


async def whose(scope, receive, send) -> None:
    await PlainTextResponse(scope["client"][0])(scope, receive, send)


def test_live_connections_pass_the_same_guards(client):
    with client.websocket_connect("/live") as connection:
        assert connection.receive_text() == "hello"
    foreign = {"origin": "http://evil.example"}
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/live", headers=foreign),
    ):
        pass
    assert refused.value.code == 1008


def test_what_is_too_large_is_not_read():
    desk = Desk(Numbers())
    client = TestClient(app_of(desk, limits=Limits(max_bytes=1000)))
    assert send(client, "1 " * 1000).status_code == 413

    def parts():
        yield from [b"x" * 600] * 3

    headers = {"content-type": "multipart/form-data"}
    assert client.post("/double", content=parts(), headers=headers).status_code == 413
    small = TestClient(app_of(desk, limits=Limits(max_held=1000)))
    assert send(small, "1 " * 1000).status_code == 503
    assert send(small).status_code == 200, "what was held is let go again"


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data"])
def test_content_of_another_kind_is_refused(client, kind):
    """And not sent back, which bytes that are no text would not survive."""
    answer = client.post("/double", content=b"\xff\0hello", headers={"content-type": kind})
    assert answer.status_code in (400, 422) and "hello" not in answer.text


def test_an_upload_leaves_nothing(tmp_path, monkeypatch, client):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert send(client).status_code == 200 and send(client, "none").status_code == 400
    assert send(client, name="x" * 5000 + ".txt").status_code == 400
    assert list(tmp_path.iterdir()) == []


def test_the_page_talks_to_this_service_alone():
    page = Shell("A <toy>", '<p id="x"></p>', style="p{color:red}", script="console.log('$x')")
    answer = TestClient(app_of(Desk(Numbers()), page=page)).get("/")
    assert "A &lt;toy&gt;" in answer.text and "console.log('$x')" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert "unsafe" not in policy and policy.count("'sha256-") == 2
    assert answer.headers["x-content-type-options"] == "nosniff"


class Summary(list):
    """A result as every system has it."""

    damage = ("short",)

    def to_dict(self) -> dict:
        return {"doubled": list(self)}


class Doubler(Numbers):
    model, version, options = "doubler", "1.0", {"rounded": False}

    def process(self, source: Source):
        return Summary((yield from super().process(source)))


def test_any_job_answers_with_its_row():
    system = SimpleNamespace(name="doubler", version="1.0", summary="Doubles")
    client = TestClient(job_app(system, Desk(Doubler()), hosts=["testserver"]))
    row = client.post("/predict", files={"file": ("../x.nii.gz", "1 2")}).json()
    assert list(row)[:5] == ["source", "sha256", "status", "model", "version"]
    assert row["source"] == "../x.nii.gz" and row["doubled"] == [2.0, 4.0]
    assert row["damage"] == ["short"] and row["weights"] == {"double": "0" * 64}
    odd = client.post("/predict", files={"file": ("x.;rm -r", "3")}).json()
    assert odd["source"] == "x.;rm -r" and odd["doubled"] == [6.0]
    assert client.post("/predict", files={"file": ("x", "three")}).status_code == 400


def test_a_system_without_a_job_is_not_served():
    with pytest.raises(MissingError, match="has no job"):
        _load(SimpleNamespace(name="toy", package="html"), None)
    with pytest.raises(UsageError, match="one weights file"):
        _load(SimpleNamespace(name="toy", package="json"), ["a", "b"])


SERVER = """
import sys
sys.path.insert(0, {tests!r})
from test_serve import Desk, Limits, Numbers, app_of
from vitrail.serve import make_app, serve
desk, limits = Desk(Numbers()), Limits(head_seconds=0.6, body_seconds=0.6, max_requests=1000)
app = make_app("toy", "1.0", "Doubles.", desk, hosts=["127.0.0.1"], limits=limits)
app.routes.extend(app_of(desk).routes[-2:])
print("ready", flush=True)
serve(app, desk, host="127.0.0.1", port={port}, limits=limits)
print("ended", flush=True)
"""


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    """A real server in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = SERVER.format(tests=str(Path(__file__).parent), port=port)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=20)

    def is_up() -> bool:
        try:
            connect().close()
            return True
        except OSError:
            return False

    try:
        until(is_up, 60)
        yield SimpleNamespace(process=process, connect=connect)
    finally:
        process.kill()
        process.wait()


HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def ask(server: SimpleNamespace, request: bytes = HEALTH) -> bytes:
    with server.connect() as connection:
        connection.sendall(request)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_slow_clients_hold_nobody_up_and_an_interrupt_ends_it(server):
    slow = [server.connect() for _ in range(40)]
    for connection in slow[:30]:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127")
    body = server.connect()
    body.sendall(
        b"POST /double HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nonly this"
    )
    assert ask(server).startswith(b"HTTP/1.1 200"), "though forty have not said what they want"
    assert b" 408 " in read_all(body).split(b"\r\n")[0]
    for connection in slow:
        assert read_all(connection) == b"", "closed without an answer"
    assert ask(server).startswith(b"HTTP/1.1 200")
    server.process.send_signal(signal.SIGINT)
    out, err = server.process.communicate(timeout=30)
    assert "ended" in out and "Traceback" not in err, err
