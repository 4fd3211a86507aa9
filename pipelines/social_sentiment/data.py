"""Where posts come from: the generator, public sets, TweetEval folders, a user's own file; all as `social_posts`."""

from pathlib import Path
from typing import Any

import polars as pl

from pipelines.social_sentiment.authors import hashed_authors
from pipelines.social_sentiment.config import DataConfig
from pipelines.social_sentiment.generator import generate
from pipelines.social_sentiment.labels import named_labels
from pipelines.social_sentiment.schema import COLUMNS, LABELS, TEST, TRAIN, VALIDATION, Posts
from pipelines.social_sentiment.semeval import SEMEVAL, read_semeval, semeval_files
from pipelines.social_sentiment.tweeteval import (
    TWEETEVAL,
    read_tweeteval,
    tweeteval_files,
    tweeteval_labels,
    tweeteval_splits,
)
from shared.data.column_map import parsed_column_map, require_declared, require_keys, source_columns
from shared.data.columns import load_column_map
from shared.data.datasets import locate
from shared.data.identifiers import ids_as_text
from shared.data.moments import as_moments
from shared.data.own_table import own_table_path
from shared.data.tables import read_table
from shared.errors import RequestError

SYNTHETIC = "synthetic"
_SOURCES = f"{SYNTHETIC}, {SEMEVAL}, {TWEETEVAL}, a folder of a TweetEval task"
_KEYS = ("text",)
_OWN_SETTINGS = ("columns", "label_names")
_PARTS = {"val": VALIDATION, "dev": VALIDATION, "valid": VALIDATION}


def load_posts(source: str, config: DataConfig, seed: int) -> Posts:
    """Posts of `synthetic`, of a public set, of a folder of a TweetEval task or of SemEval, or of a table; not checked.

    Authors are hashed. Raises RequestError for an unknown source, an unreadable file or settings that do not fit.
    """
    folder = _folder(source)
    if source == SYNTHETIC or folder is not None:
        _require_no_own_settings(source, config)
    if source == SYNTHETIC:
        frame, truth = generate(config.num_posts, config.num_days, seed)
        return Posts(frame.with_columns(hashed_authors(frame["author"])), LABELS, made=truth)
    if folder is None:
        return _own_posts(read_table(_own_path(source)), config)
    return _tweeteval_posts(folder, config) if tweeteval_splits(folder) else _semeval_posts(folder, config)


def source_paths(source: str, config: DataConfig) -> tuple[Path, ...]:
    """All files behind a source, ascending; none for the generator. Raises RequestError."""
    if source == SYNTHETIC:
        return ()
    folder = _folder(source)
    if folder is None:
        return (_own_path(source),)
    test_folder = None if tweeteval_splits(folder) else _test_folder(config)
    tested = tweeteval_files(test_folder) if test_folder else ()
    return tuple(sorted({*semeval_files(folder), *tweeteval_files(folder), *tested}))


def read_to_score(path: Path, config: DataConfig) -> Posts:
    """Posts to score, as a table of the form of the training table or in the contract's columns; not checked yet.

    Labels and parts are left out: a score does not depend on them. Raises RequestError for a file that cannot be read.
    """
    raw = read_table(path)
    frame, notes = _in_contract_shape(raw, config)
    return Posts(frame.drop("label", "part", strict=False), config.labels or LABELS, notes)


def parse_column_map(value: Any) -> dict[str, str]:
    """The setting `data.columns`, see `parsed_column_map`. Raises RequestError."""
    return parsed_column_map(value, COLUMNS)


def parse_label_names(value: Any) -> dict[str, str]:
    """The setting `data.label_names`: {value in the table: name}, as pairs, a mapping or a YAML file of one."""
    names = load_column_map(value)
    if not isinstance(names, dict) or not all(str(part).strip() for pair in names.items() for part in pair):
        raise RequestError(f"data.label_names: Expected pairs such as 4=positive. Received {value!r}.")
    return {str(given): str(name) for given, name in names.items()}


def _folder(source: str) -> Path | None:
    """The folder of a public set, or of files in its form."""
    if source in (SEMEVAL, TWEETEVAL):
        return locate(source)
    path = Path(source).expanduser()
    return path if path.is_dir() and (tweeteval_splits(path) or semeval_files(path)) else None


def _own_path(source: str) -> Path:
    return own_table_path(source, expected="social-media posts", known=_SOURCES)


def _require_no_own_settings(source: str, config: DataConfig) -> None:
    given = [name for name in _OWN_SETTINGS if getattr(config, name)]
    if given:
        raise RequestError(
            f"Expected data.{given[0]} with a table of your own. Received it with {source}: leave it out."
        )


def _semeval_posts(folder: Path, config: DataConfig) -> Posts:
    frame, notes = read_semeval(folder)
    test_folder = _test_folder(config)
    if test_folder is None:
        return Posts(frame, LABELS, notes)
    tested, changed = read_tweeteval(test_folder, config.subset, tweeteval_labels(test_folder, LABELS))
    whole = pl.concat(
        [frame.with_columns(part=pl.lit(TRAIN)), tested.with_columns(part=pl.lit(TEST))], how="diagonal"
    )
    what = f"The test is the {config.subset} split of TweetEval, {tested.height:,} posts."
    return Posts(whole, LABELS, (*notes, what, *(f"Of them {note}" for note in changed)))


def _test_folder(config: DataConfig) -> Path | None:
    """Where the split lies that tests what semeval2017 has taught. Raises RequestError when it is not there."""
    if config.test_set == "none":
        return None
    folder = locate(TWEETEVAL)
    _require_split(folder, config.subset)
    return folder


def _require_split(folder: Path, split: str) -> None:
    there = tweeteval_splits(folder)
    if split not in there:
        raise RequestError(
            f"Expected the split {split} in {folder}. Received {', '.join(there)}: choose one of them with data.subset."
        )


def _tweeteval_posts(folder: Path, config: DataConfig) -> Posts:
    """With other splits beside it, the chosen one tests, and what comes before it trains and calibrates."""
    _require_split(folder, config.subset)
    labels = tweeteval_labels(folder, config.labels)
    there = tweeteval_splits(folder)
    parts: dict[str, str | None] = {"train": TRAIN, "val": VALIDATION, "test": TEST}
    if config.subset != "test":
        parts = {"train": TRAIN, config.subset: TEST}
    used = [split for split in there if split in parts] if config.subset != "train" else ["train"]
    if TRAIN not in used or len(used) == 1:
        used, parts = [config.subset], {config.subset: None}
    read = [read_tweeteval(folder, split, labels) for split in used]
    frame = pl.concat(
        one.with_columns(part=pl.lit(parts[split], dtype=pl.String))
        for split, (one, _) in zip(used, read, strict=True)
    )
    unread = [split for split in there if split not in used]
    notes = [f"Not read: the {split} split." for split in unread]
    notes += [
        f"Of {split} {note}" for split, (_, changed) in zip(used, read, strict=True) for note in changed
    ]
    return Posts(frame, labels, tuple(notes))


def _own_posts(raw: pl.DataFrame, config: DataConfig) -> Posts:
    require_declared(raw, config.columns or {})
    frame, notes = _in_contract_shape(raw, config)
    used = source_columns(raw, config.columns or {}, COLUMNS).values()
    ignored = sorted(set(raw.columns) - set(used))
    if ignored:
        notes = (*notes, f"Columns that are not used: {', '.join(ignored)}.")
    if "label" not in frame.columns:
        return Posts(frame, config.labels or LABELS, notes)
    named, labels, said = named_labels(frame["label"], config)
    return Posts(frame.with_columns(named), labels, (*notes, *said))


def _in_contract_shape(raw: pl.DataFrame, config: DataConfig) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Selects and names the contract's columns. Judging values is the contract's part: none is dropped or emptied."""
    sources = source_columns(raw, config.columns or {}, COLUMNS)
    require_keys(raw, sources, _KEYS)
    columns = {name: raw[source].alias(name) for name, source in sources.items()}
    if "post_id" in columns:
        columns["post_id"] = ids_as_text(columns["post_id"])
    if "time" in columns:
        columns["time"] = as_moments(columns["time"], config.time_unit)
    if "author" in columns:
        columns["author"] = hashed_authors(columns["author"])
    if "part" in columns:
        columns["part"] = columns["part"].cast(pl.String).str.strip_chars().str.to_lowercase().replace(_PARTS)
    frame = pl.DataFrame(list(columns.values()))
    if "post_id" in columns:
        return frame, ()
    numbers = pl.Series("post_id", [f"row-{number}" for number in range(1, raw.height + 1)])
    note = "The table names no post_id: posts are called by the number of their row."
    return frame.insert_column(0, numbers), (note,)
