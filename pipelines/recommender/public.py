"""The public sets of interactions, as published, in the contract's shape."""

from pathlib import Path

import polars as pl

from pipelines.recommender.tables import Tables
from shared.data.identifiers import ids_as_text
from shared.data.moments import as_moments
from shared.data.tables import read_table
from shared.errors import RequestError

# The files of each set that are read.
PUBLIC_FILES: dict[str, tuple[str, ...]] = {
    "movielens_100k": ("u.data", "u.item", "u.user"),
    "gowalla": ("train.txt", "test.txt"),
}
# In the order of the last 19 columns of u.item.
_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def read_public(source: str, folder: Path) -> Tables:
    """One of the sets of `PUBLIC_FILES` from its folder. Raises RequestError for a file in another form."""
    return _movielens_100k(folder) if source == "movielens_100k" else _gowalla(folder)


def _movielens_100k(folder: Path) -> Tables:
    ratings = read_table(
        folder / "u.data", separator="\t", names=("user_id", "item_id", "rating", "interacted_at")
    )
    films = read_table(
        folder / "u.item",
        separator="|",
        names=("item_id", "title", "released", "video", "address", *_GENRES),
        encoding="latin-1",
    )
    people = read_table(
        folder / "u.user", separator="|", names=("user_id", "age", "gender", "occupation", "zip_code")
    )
    genres = [pl.when(pl.col(name).cast(pl.String) == "1").then(pl.lit(name)) for name in _GENRES]
    return Tables(
        interactions=ratings.with_columns(
            ids_as_text(ratings["user_id"]),
            ids_as_text(ratings["item_id"]),
            as_moments(ratings["interacted_at"], "s"),
        ),
        items=films.select(
            ids_as_text(films["item_id"]),
            "title",
            year=pl.col("released").str.slice(-4).cast(pl.Int64, strict=False),
            genres=pl.concat_str(genres, separator="|", ignore_nulls=True),
        ),
        users=people.select(ids_as_text(people["user_id"]), "age", "gender", "occupation"),
    )


def _gowalla(folder: Path) -> Tables:
    parts = {part: _adjacency(folder / f"{part}.txt") for part in ("train", "test")}
    notes = tuple(f"{lines} users have no item in {part}.txt." for part, (_, lines) in parts.items() if lines)
    pairs = [frame.with_columns(part=pl.lit(part)) for part, (frame, _) in parts.items()]
    return Tables(interactions=pl.concat(pairs), notes=notes)


def _adjacency(path: Path) -> tuple[pl.DataFrame, int]:
    """Lines `user item item ...` as pairs, and the number of users without any item."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"Expected lines `user item item ...` in {path}. Received: {error}.") from error
    # any run of blanks separates, and a line may end in one
    text = pl.Series("line", lines, dtype=pl.String).str.strip_chars()
    text = text.filter(text != "").str.replace_all(r"\s+", " ")
    if not len(text):
        raise RequestError(f"Expected lines `user item item ...` in {path}. Received an empty file.")
    ids = pl.DataFrame({"ids": text.str.split(" ")})
    lonely = int((ids["ids"].list.len() == 1).sum())
    pairs = ids.select(user_id=pl.col("ids").list.first(), item_id=pl.col("ids").list.slice(1)).filter(
        pl.col("item_id").list.len() > 0
    )
    return pairs.explode("item_id"), lonely
