"""What the training records of a home say: pipelines keep them in a step's result or in a document of the store."""

import re
from pathlib import Path


def recorded(home: Path, name: str) -> set[int]:
    """All values of a whole number that training records hold, such as `resumed_from_step`."""
    records = [path for folder in ("results", "store") for path in (home / folder).rglob("*.json")]
    pattern = re.compile(rf'"{name}": ?(\d+)')
    return {int(value) for path in records for value in pattern.findall(path.read_text())}
