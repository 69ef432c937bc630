"""The goldens of the release."""

from pathlib import Path

from hsi_classify.parity import check
from vitrail.testing.beside import DATA, PARITY, needs

FOLDER = PARITY / "hyperspectral"


@needs(FOLDER, DATA / "hyperspectral")
def test_goldens(tmp_path):
    """All but the full-size network, which takes a gigabyte; the parity command checks it too."""
    goldens, data = tmp_path / "parity" / "hyperspectral", tmp_path / "data"
    goldens.mkdir(parents=True)
    data.symlink_to(DATA)
    for path in FOLDER.iterdir():
        if not path.name.startswith("full"):
            (goldens / path.name).symlink_to(Path(path).resolve())
    comparisons = check(goldens)
    assert len(comparisons) > 30
    assert [str(one) for one in comparisons if not one.passed] == []
