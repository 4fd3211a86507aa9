"""Uploads of several files: which of them says what the others are."""

from pathlib import Path

_NAME = "manifest"
HELP = "Several files are scored together. Where a table lists the others, call it `manifest`, such as `manifest.csv`."


def to_score(upload: Path) -> Path:
    """What is scored of an upload: of a folder the file that is called manifest, else all of it."""
    if not upload.is_dir():
        return upload
    named = sorted(path for path in upload.iterdir() if path.name.lower().split(".")[0] == _NAME)
    return named[0] if named else upload
