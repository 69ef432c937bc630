"""Fetches the clips that clips_from_elsewhere.csv names into a folder.

    python pipelines/deepfake-detect/fetch_clips.py runs/clips-from-elsewhere

They are other people's films: look into their repositories for what you may do with them.
"""

import csv
import hashlib
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

HOST = "https://github.com"
LIST = Path(__file__).with_name("clips_from_elsewhere.csv")


def main(target: Path) -> int:
    """The number of clips that could not be had."""
    wanted = defaultdict(list)
    with LIST.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = target / row["repository"] / row["path"]
            if not path.is_file() or _sha256(path.read_bytes()) != row["sha256"]:
                wanted[row["repository"]].append((row, path))
    missing = 0
    for repository, clips in wanted.items():
        with tempfile.TemporaryDirectory() as clone:
            address = f"{HOST}/{repository}.git"
            subprocess.run(["git", "clone", "-q", "--bare", "--filter=blob:none", address, clone])
            for row, path in clips:
                data = _git(clone, "cat-file", "blob", f"{row['commit']}:{row['path']}")
                if _sha256(data) == row["sha256"]:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                else:
                    missing += 1
                    print(f"not to be had: {repository}/{row['path']}", file=sys.stderr)
    return missing


def _git(clone: str, *words: str) -> bytes:
    return subprocess.run(["git", "--git-dir", clone, *words], capture_output=True).stdout


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    raise SystemExit(bool(main(Path(sys.argv[1]))))
