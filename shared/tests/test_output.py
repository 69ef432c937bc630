"""Results are whole or absent, whatever happens while they are written."""

import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from vitrail.errors import InputError
from vitrail.output import atomic_file, atomic_folder, result_names


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# One file


@pytest.mark.parametrize(
    "name", ["result.json", "two words", "line\nbreak", "🙂" * 50, "-dash", ".hidden"]
)
def test_a_file_is_written(tmp_path, name):
    with atomic_file(tmp_path / "new" / "folder" / name) as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "new" / "folder" / name).read_text() == "whole"
    assert len(names(tmp_path)) == 3


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "result"
    path.write_text("old")
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "half"


@pytest.mark.parametrize(
    "error", [ValueError, KeyboardInterrupt, SystemExit, InputError("source", "is bad")]
)
@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_nothing_is_left_when_writing_fails(tmp_path, writer, error):
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), writer(tmp_path / "new" / "folder" / "result") as temporary:
        (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
        raise error
    assert names(tmp_path) == []


def test_an_older_file_survives_a_failure(tmp_path):
    (tmp_path / "result").write_text("old")
    with pytest.raises(ValueError), atomic_file(tmp_path / "result") as temporary:
        temporary.write_text("half")
        raise ValueError
    assert names(tmp_path) == ["result"] and (tmp_path / "result").read_text() == "old"


def test_the_files_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "file"), atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


# One folder


def test_a_folder_replaces_an_older_one_and_is_never_mixed_with_it(tmp_path):
    for content in (["a", "b"], ["b", "c"]):
        with atomic_folder(tmp_path / "result") as temporary:
            for name in content:
                (temporary / name).write_text(name)
    assert names(tmp_path) == ["result", "result/b", "result/c"]


def test_an_older_folder_survives_a_failure(tmp_path):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old").touch()
    with pytest.raises(ValueError), atomic_folder(tmp_path / "result") as temporary:
        (temporary / "new").touch()
        raise ValueError
    assert names(tmp_path) == ["result", "result/old"]


def test_an_older_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old").touch()
    rename = Path.rename

    def fail_for_new(self: Path, target: Path) -> Path:
        if (self / "new").exists():
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with (
        pytest.raises(InputError, match="input/output error"),
        atomic_folder(tmp_path / "result") as temporary,
    ):
        (temporary / "new").touch()
    assert names(tmp_path) == ["result", "result/old"]


def test_a_linked_folder_is_replaced_and_its_target_left_alone(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "old").touch()
    (tmp_path / "result").symlink_to(tmp_path / "target")
    with atomic_folder(tmp_path / "result") as temporary:
        (temporary / "new").touch()
    assert names(tmp_path) == ["result", "result/new", "target", "target/old"]
    assert not (tmp_path / "result").is_symlink()


# Places that cannot be written


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_a_file_in_the_way_is_told(tmp_path, writer):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"), writer(tmp_path / "file" / "result"):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(InputError, match="cannot be written: is a directory"),
        atomic_file(tmp_path / "folder"),
    ):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"), atomic_folder(tmp_path / "file"):
        pass
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
@pytest.mark.parametrize("name", ["x" * 300, ".", "/"])
def test_names_that_cannot_be_are_told(tmp_path, monkeypatch, writer, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot be written"), writer(Path(name)):
        pass
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_a_folder_without_permission_is_told(tmp_path, writer):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="permission denied"), writer(tmp_path / "result"):
            pass
        assert names(tmp_path) == []
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_a_refusal_by_the_system_is_told_in_one_line(tmp_path, monkeypatch, writer):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "touch" if writer is atomic_file else "mkdir", refuse)
    with pytest.raises(InputError) as caught, writer(tmp_path / "result"):
        pass
    assert (
        caught.value.reason
        == "cannot be written: permission denied; choose another output folder or make room"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told(tmp_path):
    with (
        pytest.raises(
            InputError, match="no space left on device; choose another output folder or make room"
        ),
        atomic_file(tmp_path / "result") as temporary,
    ):
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        temporary.write_bytes(bytes(1 << 16))
    assert names(tmp_path) == []


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_running_out_of_room_leaves_nothing(tmp_path, writer):
    """A limit on the size of files stands in for a small disk: the system itself refuses half
    way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with (
            pytest.raises(InputError, match="file too large"),
            writer(tmp_path / "result") as temporary,
        ):
            (temporary / "part" if temporary.is_dir() else temporary).write_bytes(bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from vitrail.output import atomic_file
with atomic_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_the_old_result(tmp_path):
    (tmp_path / "result").write_text("old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "result")])
    assert killed.returncode == -9
    assert (tmp_path / "result").read_text() == "old"


# Names of results


def chosen(*sources: str) -> list[str]:
    return result_names([Path(source) for source in sources])


def test_results_bear_the_names_of_their_sources():
    assert chosen("a/x.mp4", "b/y.mp4") == ["x.mp4", "y.mp4"]


def test_names_that_collide_have_their_folders_in_front():
    assert chosen("a/x.mp4", "a/b/x.mp4", "y.mp4") == ["x.mp4", "b-x.mp4", "y.mp4"]
    assert chosen("a/x.mp4", "b/X.MP4") == ["a-x.mp4", "b-X.MP4"]


def test_names_that_still_collide_have_their_parent_then_a_hash(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert chosen("a/x", "b/x", "a-x", "c/a-x-2") == ["a-x", "b-x", "here-a-x", "a-x-2"]
    assert chosen("b/x", "B/X", "y/b-x") == ["b-x", "X", "y-b-x"]


def test_a_link_has_its_own_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.mp4").touch()
    (tmp_path / "other.mp4").symlink_to("x.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    assert chosen("x.mp4", "other.mp4", "loop.mp4") == ["x.mp4", "other.mp4", "loop.mp4"]


def test_a_source_keeps_its_name_and_takes_no_other_ones():
    owners = {"x.mp4": 1, "b-x.mp4": 3}

    def owned(number: int, name: str) -> bool | None:
        return owners[name] == number if name in owners else None

    sources = [Path("a/x.mp4"), Path("b/x.mp4"), Path("c/y.mp4")]
    assert result_names(sources, owned) == ["a-x.mp4", "x.mp4", "y.mp4"]
    digest = hashlib.sha256(os.fsencode(Path.cwd() / "b" / "x.mp4")).hexdigest()
    assert result_names([Path("b/x.mp4")], owned) == [f"x.mp4-{digest[:12]}"]


@pytest.mark.parametrize(
    "sources", [["clips", "clips/x.mp4", "other/clips"], ["/", "/tmp"], ["a", "A", "b/a", "B/A"]]
)
def test_no_result_lies_inside_another(sources):
    found = chosen(*sources)
    assert len({name.casefold() for name in found}) == len(sources)
    assert not any("/" in name for name in found)
