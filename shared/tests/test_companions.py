"""A source is what is read of it, the files beside it too."""

import pytest

from vitrail.companions import companions
from vitrail.sources import Source, sha256

ENVI = b"ENVI\nsamples = 2\n"
META = b"ObjectType = Image\nElementDataFile = "
NRRD = b"NRRD0004\ntype: short\ndata file: "


@pytest.mark.parametrize(
    "files",
    [
        {"a.img": b"1", "a.hdr": ENVI},
        {"a": b"1", "a.hdr": ENVI},
        {"a.dat": b"1", "a.dat.hdr": ENVI},
        {"a.hdr": ENVI, "a.BSQ": b"1"},
        {"a.hdr": ENVI + b"data file = other.bin\n", "other.bin": b"1"},
        {"a.img": b"1", "a.hdr": b"\x5c\x01\0\0" + bytes(344)},
        {"a.hdr": b"\x5c\x01\0\0" + bytes(344), "a.img": b"1"},
        {"a.mhd": META + b"a.raw\n", "a.raw": b"1"},
        {"a.mhd": META + b"LIST\n1.raw\n2.raw\n", "1.raw": b"1", "2.raw": b"2"},
        {"a.nhdr": NRRD + b"a.raw\n\n", "a.raw": b"1"},
        {"a.nhdr": NRRD + b"LIST\n1.raw\n2.raw\n", "1.raw": b"1", "2.raw": b"2"},
        {"a.shp": b"1", "a.DBF": b"2", "a.prj": b"3", "a.shx": b"4", "a.cpg": b"5"},
        {"a.png": b"1", "a.pgw": b"2"},
        {"a.jpeg": b"1", "a.jgw": b"2"},
        {"a.tif": b"1", "a.TIFW": b"2"},
        {"a.webp": b"1", "a.wld": b"2"},
    ],
)
def test_a_change_of_any_part_changes_the_fingerprint(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    first, *others = (tmp_path / name for name in files)
    assert sorted(companions(first)) == sorted(others)
    prints = {Source.of(first).fingerprint}
    for number, other in enumerate(others, 2):
        source = Source.of(first)
        assert source.fingerprint in prints
        other.write_bytes(other.read_bytes() + b" ")
        with pytest.raises(Exception, match="changed while it was read"):
            source.require_unchanged()
        prints.add(Source.of(first).fingerprint)
        assert len(prints) == number


def test_what_has_no_companion_keeps_its_own_hash(tmp_path):
    """Also beside a header of another kind, and where a header points out of its folder."""
    (tmp_path / "secret.raw").write_bytes(b"1")
    (tmp_path / "in").mkdir()
    for name, content in (
        ("photo.jpg", b"1"),
        ("photo.hdr", b"#?RADIANCE\n"),
        ("a.mhd", META + b"../secret.raw\n"),
        ("b.mhd", META + b"LOCAL\n"),
        ("c.nhdr", NRRD),
        ("d.hdr", b""),
    ):
        path = tmp_path / "in" / name
        path.write_bytes(content)
        assert companions(path) == []
        if content:
            assert Source.of(path).fingerprint == sha256(path)
    assert companions(tmp_path) == companions(tmp_path / "missing.img") == []
