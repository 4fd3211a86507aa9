"""From ids to indices: the users and items that a model knows, fitted on what came before the test part."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from pipelines.recommender.attributes import encode_table
from pipelines.recommender.histories import Histories


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Users and items by index.

    The first `num_warm` items have interactions; the others are known by their attributes alone, and only a model
    that uses attributes can rank them. Attributes are float32 of shape (users or items, inputs).
    """

    users: pl.Series
    items: pl.Series
    num_warm: int
    titles: pl.Series | None = None
    user_attributes: Tensor | None = None
    item_attributes: Tensor | None = None

    @classmethod
    def fit(
        cls, interactions: pl.DataFrame, items: pl.DataFrame | None = None, users: pl.DataFrame | None = None
    ) -> "Catalogue":
        """Everybody and everything in `interactions`, in the order of their ids, then items with attributes only."""
        user_ids = interactions["user_id"].unique().sort()
        warm = interactions["item_id"].unique().sort()
        cold = warm.clear()
        of_items = of_users = titles = None
        if items is not None and encode_table(items, "item_id", warm) is not None:
            cold = items["item_id"].filter(~items["item_id"].is_in(warm.implode())).unique().sort()
        item_ids = pl.concat([warm, cold])
        if items is not None:
            of_items = encode_table(items, "item_id", item_ids)
            if "title" in items.columns:
                titles = _looked_up(items, "item_id", "title", item_ids)
        if users is not None:
            of_users = encode_table(users, "user_id", user_ids)
        return cls(
            user_ids,
            item_ids,
            len(warm),
            titles,
            of_users[0] if of_users else None,
            of_items[0] if of_items else None,
        )

    @property
    def has_attributes(self) -> bool:
        """Whether a hybrid model has anything to work with."""
        return self.item_attributes is not None or self.user_attributes is not None

    def title_of(self, item: int) -> str:
        """How a reader knows the item: its title, else its id."""
        title = None if self.titles is None else self.titles[item]
        return str(title) if title else str(self.items[item])

    def user_index(self, ids: pl.Series) -> Tensor:
        """int64, -1 for a user who is not known."""
        return index_of(self.users, ids)

    def item_index(self, ids: pl.Series) -> Tensor:
        """int64, -1 for an item that is not known."""
        return index_of(self.items, ids)

    def histories(self, interactions: pl.DataFrame) -> Histories:
        """What each known user had, over all items of the catalogue; pairs with somebody or something unknown are
        left out."""
        return self.histories_of(self.user_index(interactions["user_id"]), interactions, len(self.users))

    def histories_of(self, rows: Tensor, interactions: pl.DataFrame, num_rows: int) -> Histories:
        """The same for any numbering of the users; -1 in `rows` leaves an interaction out."""
        items = self.item_index(interactions["item_id"])
        weights = (
            torch.from_numpy(interactions["weight"].fill_null(1.0).cast(pl.Float32).to_numpy(writable=True))
            if "weight" in interactions.columns
            else torch.ones(len(interactions))
        )
        kept = (rows >= 0) & (items >= 0)
        return Histories.of_pairs(rows[kept], items[kept], weights[kept], num_rows, len(self.items))

    def relevant(self, interactions: pl.DataFrame) -> Histories:
        """What each known user had, with items that are not in the catalogue numbered behind it."""
        return self.relevant_to(self.user_index(interactions["user_id"]), interactions, len(self.users))

    def relevant_to(self, rows: Tensor, interactions: pl.DataFrame, num_rows: int) -> Histories:
        """The same for any numbering of the users; -1 in `rows` leaves an interaction out."""
        items = self.item_index(interactions["item_id"])
        unknown = interactions["item_id"].filter(pl.Series((items < 0).numpy())).unique().sort()
        behind = index_of(unknown, interactions["item_id"]) + len(self.items)
        items = torch.where(items < 0, behind, items)
        kept = rows >= 0
        weights = torch.ones(int(kept.sum()))
        return Histories.of_pairs(rows[kept], items[kept], weights, num_rows, len(self.items) + len(unknown))

    def save(self, folder: Path) -> None:
        """Writes ids and titles into a new folder; attributes travel in the model that uses them."""
        folder.mkdir(parents=True, exist_ok=True)
        items = pl.DataFrame(
            {"item_id": self.items, "warm": pl.int_range(len(self.items), eager=True) < self.num_warm}
        )
        items = items if self.titles is None else items.with_columns(title=self.titles)
        items.write_parquet(folder / "items.parquet")
        pl.DataFrame({"user_id": self.users}).write_parquet(folder / "users.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Catalogue":
        """Reads what `save` wrote."""
        items = pl.read_parquet(folder / "items.parquet")
        return cls(
            pl.read_parquet(folder / "users.parquet")["user_id"],
            items["item_id"],
            int(items["warm"].sum()),
            items["title"] if "title" in items.columns else None,
        )


def index_of(known: pl.Series, ids: pl.Series) -> Tensor:
    """Place of each id among the known ones, int64; -1 where it is not among them."""
    places = pl.DataFrame({"id": known, "place": pl.int_range(len(known), eager=True, dtype=pl.Int64)})
    found = pl.DataFrame({"id": ids}).join(places, on="id", how="left", maintain_order="left")["place"]
    return torch.from_numpy(found.fill_null(-1).to_numpy(writable=True))


def _looked_up(table: pl.DataFrame, key: str, column: str, wanted: pl.Series) -> pl.Series:
    found = pl.DataFrame({key: wanted}).join(
        table.select(key, column), on=key, how="left", maintain_order="left"
    )
    return found[column].cast(pl.String)
