"""A TweetEval task as published: a folder of <split>_text.txt and <split>_labels.txt, with mapping.txt.

Barbieri, Camacho-Collados, Espinosa-Anke, Neves (2020), "TweetEval: Unified Benchmark and Comparative Evaluation for
Tweet Classification". Users and links are masked in it as @user and http.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipelines.social_sentiment.lines import as_written, read_lines
from shared.errors import RequestError

TWEETEVAL = "tweeteval_sentiment"
SPLITS = ("train", "val", "test")


def tweeteval_splits(folder: Path) -> tuple[str, ...]:
    """The splits of which a folder has the texts; none where it holds something else."""
    return tuple(split for split in SPLITS if _text_file(folder, split).is_file())


def tweeteval_files(folder: Path) -> tuple[Path, ...]:
    """The files of the task in a folder, ascending, with the mapping."""
    mapping = _mapping_file(folder)
    files = [
        file
        for split in SPLITS
        for file in (_text_file(folder, split), _label_file(folder, split))
        if file.is_file()
    ]
    return tuple(sorted([*files, *([mapping] if mapping else [])]))


def tweeteval_labels(folder: Path, named: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the labels by their number: those that are named, else of mapping.txt, there or in the folder above.

    Raises RequestError where neither says them, and for a mapping that does not count from 0.
    """
    if named:
        return tuple(named)
    mapping = _mapping_file(folder)
    if mapping is None:
        raise RequestError(
            f"Expected mapping.txt in {folder}. Received none: name the labels in the order of their numbers, "
            "--set data.labels=[NAME,NAME]."
        )
    rows = [line.split("\t") for line in read_lines(mapping) if line.strip()]
    names = tuple(row[1].strip() for row in rows if len(row) > 1)
    counts = [row[0].strip() for row in rows] == [str(number) for number in range(len(rows))]
    if not counts or len(rows) < 2 or not all(names) or len(set(names)) < len(rows):
        raise RequestError(
            f"Expected two lines or more of number, tab and name, from 0 on, in {mapping}. "
            f"Received {' / '.join(' '.join(row) for row in rows[:3])!r}."
        )
    return names


def read_tweeteval(folder: Path, split: str, labels: Sequence[str]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """post_id, text and label of a split, and notes. post_id: the split and the number of the line.

    A number that no label has stays one; without a file of labels they are null. Raises RequestError for texts and
    labels of different numbers of lines.
    """
    texts = read_lines(_text_file(folder, split))
    label_file = _label_file(folder, split)
    codes: list[str | None] = [*read_lines(label_file)] if label_file.is_file() else [None] * len(texts)
    if len(codes) != len(texts):
        raise RequestError(
            f"Expected a label for each of {len(texts):,} texts. Received {len(codes):,} lines in {label_file}: fetch "
            "both files again."
        )
    text, notes = as_written(pl.Series("text", texts))
    names = {str(number): name for number, name in enumerate(labels)}
    frame = pl.DataFrame(
        {
            "post_id": [f"{split}-{number}" for number in range(1, len(texts) + 1)],
            "text": text,
            "label": pl.Series(codes, dtype=pl.String).str.strip_chars().replace(names),
        }
    )
    return frame, notes


def _text_file(folder: Path, split: str) -> Path:
    return folder / f"{split}_text.txt"


def _label_file(folder: Path, split: str) -> Path:
    return folder / f"{split}_labels.txt"


def _mapping_file(folder: Path) -> Path | None:
    """The targets of the stance task share the one in the folder above."""
    candidates = (folder / "mapping.txt", folder.parent / "mapping.txt")
    return next((path for path in candidates if path.is_file()), None)
