"""Names from the command line, and fingerprints."""

import hashlib
import os
from pathlib import Path

import pytest

from vitrail.errors import InputError
from vitrail.sources import expand_sources, image_files, natural_sorted, require_file, sha256

ODD_NAMES = [
    "two words.mp4",
    "line\nbreak.mp4",
    "🙂.mp4",
    "-dash.mp4",
    "a[1].mp4",
    "100%25.mp4",
    "ü?.mp4",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ["clip2.mp4", "clip10.mp4", "clip1.mp4", *ODD_NAMES]:
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_that_exists_is_taken_as_it_stands(folder, name):
    assert expand_sources([name]) == [Path(name)]
    assert expand_sources([(folder / name).as_uri()]) == [folder / name]


def test_patterns_expand_in_natural_order(folder):
    assert expand_sources(["clip*.mp4"]) == [
        Path("clip1.mp4"),
        Path("clip2.mp4"),
        Path("clip10.mp4"),
    ]
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "clip7.mp4").touch()
    assert Path("deep/er/clip7.mp4") in expand_sources(["**/clip*.mp4"])


def test_order_is_kept_and_repeats_are_dropped(folder):
    assert expand_sources(["clip2.mp4", "clip?.mp4", "gone.mp4", "clip2.mp4"]) == [
        Path("clip2.mp4"),
        Path("clip1.mp4"),
        Path("gone.mp4"),
    ]


def test_a_folder_stays_a_folder(folder):
    assert expand_sources(["."]) == [Path(".")]


@pytest.mark.parametrize("argument", ["*.webm", "nothing/[ab].mp4"])
def test_a_pattern_without_a_match_is_an_error(folder, argument):
    with pytest.raises(InputError, match="matches no file"):
        expand_sources([argument])


@pytest.mark.parametrize(
    "url", ["http://host/a.mp4", "HTTPS://host/a.mp4", "s3://b/k", "file://other/a.mp4", "rtsp://x"]
)
def test_other_schemes_are_refused(url):
    with pytest.raises(InputError, match="not on this machine"):
        expand_sources([url])


def test_local_urls():
    assert expand_sources(["file:///a%20b/%E2%82%AC.mp4"]) == [Path("/a b/€.mp4")]
    assert expand_sources(["file://localhost/a.mp4"]) == [Path("/a.mp4")]


def test_require_file_names_the_trouble(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="not an ordinary file"):
        require_file(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="cannot be read"):
        require_file(tmp_path / ("x" * 5000))


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_require_file_without_permission(tmp_path):
    path = tmp_path / "secret.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(InputError, match="permission"):
        require_file(path)


def test_natural_order():
    ordered = [
        Path(name)
        for name in ("a/1.png", "a/9.png", "a/10.png", "a/x1.png", "a/x10.png", "b/2.png")
    ]
    assert natural_sorted(sorted(ordered, reverse=True)) == ordered


def test_sha256_of_a_file_is_the_usual_one(folder):
    assert sha256(folder / "clip1.mp4") == hashlib.sha256(b"clip1.mp4").hexdigest()


def test_sha256_of_a_folder_covers_its_pictures_only(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "sub.png").mkdir()
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.JPG", "b.png")}
    expected = hashlib.sha256(
        "".join(f"{name}\0{digests[name]}\n" for name in sorted(digests)).encode()
    ).hexdigest()
    assert sha256(tmp_path) == expected
    assert [path.name for path in image_files(tmp_path)] == ["a.JPG", "b.png"]
    (tmp_path / "notes.txt").write_bytes(b"changed")
    assert sha256(tmp_path) == expected
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    assert sha256(tmp_path) != expected
