"""Stores to test with: a file of SQLite, and a PostgreSQL server that is started for the test
run."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for made_people, which several tests share
from made_people import write_recording

from ppg_auth.store import session
from ppg_auth.store.session import Store, open_store

PASSPHRASE = b"correct horse battery staple"


def server_programs() -> Path | None:
    """The folder of PostgreSQL's server programs (Debian keeps them off the PATH)."""
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    return max(
        [*found, *(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))],
        default=None,
    )


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a running server, on a socket in a folder of its own; skips where none can be
    started."""
    pytest.importorskip("psycopg", reason="needs vitrail-ppg-auth[postgresql]")
    programs = server_programs()
    if programs is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
        run = partial(subprocess.run, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)
        if user:
            shutil.chown(folder, user)
        run(
            [
                programs / "initdb",
                "-D",
                f"{folder}/data",
                "-U",
                "tester",
                "-A",
                "trust",
                "--no-sync",
            ]
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        control = [programs / "pg_ctl", "-D", f"{folder}/data", "-w"]
        run([*control, "-l", f"{folder}/log", "-o", options, "start"])
        try:
            yield f"postgresql://tester@/postgres?host={folder}"
        finally:
            run([*control, "-m", "immediate", "stop"])


_numbers = count(1)


def _new_database(server: str) -> str:
    import psycopg

    name = f"store{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(autouse=True)
def cheap_passphrases(monkeypatch):
    monkeypatch.setattr(session, "SCRYPT_COST", 2**8)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path) -> str:
    """Where a store may be made: the tests that ask for it run with both databases."""
    if request.param == "sqlite":
        return str(tmp_path / "people.db")
    return _new_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def opened(address) -> Callable[[], Store]:
    """Opens the same store each time, as another process would."""
    return partial(open_store, address, None, PASSPHRASE, create=True)


@pytest.fixture
def store(opened) -> Store:
    return opened()


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A network without layers: the mean beat, turned at random; made-up people say how wrong
    people score."""
    import numpy as np
    import torch

    from ppg_auth.checkpoint import ARCHITECTURE
    from ppg_auth.decide.decision import fisher, placement_mean
    from ppg_auth.model import EMBED_DIM, build_model
    from ppg_auth.signal.beats import SHAPE_POINTS
    from ppg_auth.signal.reading import read_recording
    from ppg_auth.signal.windows import Preprocess, SignalConfig
    from vitrail.weights.files import save

    folder, signal = tmp_path_factory.mktemp("weights"), SignalConfig()
    config = {
        "branches": (),
        "beats": True,
        "samples": signal.samples,
        "rate": signal.rate,
        "beat_points": SHAPE_POINTS,
    }
    model = build_model(config)
    turned = torch.linalg.qr(
        torch.randn(EMBED_DIM, EMBED_DIM, generator=torch.Generator().manual_seed(0))
    )[0]
    model.expert.projection.copy_(turned[:SHAPE_POINTS])
    items = []
    for person in range(500, 530):
        windows = Preprocess(signal)(
            read_recording(write_recording(folder / "cohort.csv", person, 0))
        )
        if windows.good.any():
            items.append(torch.from_numpy(windows.items[windows.good]))
    model.expert.mean.copy_(torch.cat(items)[:, signal.samples :].mean(dim=0))
    with torch.inference_mode():
        people = np.stack([placement_mean(model.train(False)(rows).numpy()) for rows in items])
    scores = fisher(people @ people.T)[~np.eye(len(people), dtype=bool)]
    metadata = {
        "architecture": ARCHITECTURE,
        "config": asdict(model.config),
        "signal": asdict(signal),
        "impostors": {"mean": float(scores.mean()), "deviation": float(scores.std())},
        "people": {"train": [], "val": []},
    }
    save(folder / "tiny.safetensors", model.state_dict(), metadata)
    return folder / "tiny.safetensors"
