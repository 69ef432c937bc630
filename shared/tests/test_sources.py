"""Names from the command line, and fingerprints."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from vitrail.errors import InputError
from vitrail.sources import (
    Source,
    expand_sources,
    image_files,
    natural_sorted,
    open_folders,
    require_file,
    sha256,
    walk,
)

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


def paths_of(arguments: list[str]) -> list[Path]:
    found = expand_sources(arguments)
    for source in found:
        source.require_found()
    return [source.path for source in found]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_that_exists_is_taken_as_it_stands(folder, name):
    assert paths_of([name]) == [Path(name)]
    assert paths_of([(folder / name).as_uri()]) == [folder / name]


def test_patterns_expand_in_natural_order(folder):
    assert paths_of(["clip*.mp4"]) == [
        Path("clip1.mp4"),
        Path("clip2.mp4"),
        Path("clip10.mp4"),
    ]
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "clip7.mp4").touch()
    assert Path("deep/er/clip7.mp4") in paths_of(["**/clip*.mp4"])


def test_order_is_kept_and_repeats_are_dropped(folder):
    assert paths_of(["clip2.mp4", "clip?.mp4", "gone.mp4", "clip2.mp4"]) == [
        Path("clip2.mp4"),
        Path("clip1.mp4"),
        Path("gone.mp4"),
    ]


def test_a_folder_stays_a_folder(folder):
    assert paths_of(["."]) == [Path(".")]


@pytest.mark.parametrize("argument", ["*.webm", "nothing/[ab].mp4"])
def test_a_pattern_without_a_match_is_an_error(folder, argument):
    with pytest.raises(InputError, match="matches no file"):
        paths_of([argument])


@pytest.mark.parametrize(
    "url", ["http://host/a.mp4", "HTTPS://host/a.mp4", "s3://b/k", "file://other/a.mp4", "rtsp://x"]
)
def test_other_schemes_are_refused(url):
    with pytest.raises(InputError, match="not on this machine"):
        paths_of([url])


def test_what_names_nothing_is_a_source_with_its_fault(folder):
    """So that the others of the call are done."""
    wanted = ["clip1.mp4", "http://host/a.mp4", "*.webm", "clip2.mp4", "http://host/a.mp4"]
    found = expand_sources(wanted)
    assert [source.name for source in found] == wanted[:4]
    assert [bool(source.fault) for source in found] == [False, True, True, False]
    assert "download it" in found[1].fault.reason and "matches no file" in found[2].fault.reason
    assert [source.paths for source in found[1:3]] == [(), ()]
    with pytest.raises(InputError, match="not on this machine"):
        _ = found[1].fingerprint


def test_a_folder_that_holds_nothing_stays_with_its_fault(folder):
    def inside(path: Path) -> list[Path]:
        if path.name == "empty":
            raise InputError(path, "holds nothing")
        return sorted(path.glob("clip1*.mp4"))

    (folder / "empty").mkdir()
    found = open_folders(map(Source.of, ["empty", ".", "clip1.mp4", "gone"]), inside)
    assert [source.name for source in found] == ["empty", "clip1.mp4", "clip10.mp4", "gone"]
    assert found[0].fault and not any(source.fault for source in found[1:])


def test_local_urls():
    assert paths_of(["file:///a%20b/%E2%82%AC.mp4"]) == [Path("/a b/€.mp4")]
    assert paths_of(["file://localhost/a.mp4"]) == [Path("/a.mp4")]


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


def test_a_tree_is_walked_once_without_results_and_hidden_files(tmp_path):
    for name in ("a10", "a9", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scan").touch()
    (tmp_path / "a9" / "up").symlink_to("..")
    (tmp_path / ".file").touch()
    result = tmp_path / "results" / "scan"
    result.mkdir(parents=True)
    row = dict.fromkeys(("source", "sha256", "status", "model", "version"), "x")
    (result / "result.json").write_text(json.dumps(row))
    tree = walk(tmp_path)
    places = [tmp_path, tmp_path / "a9", tmp_path / "a10", tmp_path / "results"]
    assert list(tree.folders) == places and tree.results == [result]
    assert tree.folders[tmp_path / "a9"] == [tmp_path / "a9" / "scan"]
    (result / "result.json").write_text('{"source": "somebody else\'s"}')
    assert walk(tmp_path).results == []


def test_a_folder_that_cannot_be_read_is_a_fault(tmp_path, monkeypatch):
    (tmp_path / "shut").mkdir()
    real = Path.iterdir

    def iterdir(path):
        if path.name == "shut":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    (fault,) = walk(tmp_path).faults.values()
    assert fault.reason == "cannot be read: permission denied; check the path and its permissions"
    (source,) = open_folders([Source.of(tmp_path / "shut")], lambda folder: [*folder.iterdir()])
    assert "permission denied" in source.fault.reason
