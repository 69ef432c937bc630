"""Cuts the examples from two recordings of the Welltory set (public domain, CC0 1.0).

    python packages/ppg-auth/examples/cut_recordings.py WELLTORY_FOLDER

Neshitov et al., Sensors 2021, 21, 6798: means of the red, green and blue of a phone's video of a
fingertip. Who was recorded is not published, so that "ann" and "bob" are the people of two
recordings, early and later in each.
"""

import sys
from pathlib import Path

CUTS = {
    "ann.csv": ("rec19_ppg.csv", 1.0, 45.0),
    "ann-later.csv": ("rec19_ppg.csv", 48.0, 75.0),
    "bob.csv": ("rec20_ppg.csv", 42.0, 72.0),
}


def cut(source: Path, start: float, stop: float) -> str:
    """The lines of a recording between two times in seconds, with its header."""
    header, *rows = source.read_text().splitlines()
    return (
        "\n".join(
            [header, *(row for row in rows if start <= float(row.split(",")[0]) / 1000 < stop)]
        )
        + "\n"
    )


if __name__ == "__main__":
    for name, (source, start, stop) in CUTS.items():
        Path(__file__).with_name(name).write_text(cut(Path(sys.argv[1]) / source, start, stop))
