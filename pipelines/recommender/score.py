"""The only scoring code: evaluation, batch flow, API and dashboard all call `Scorer`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.recommender import rankers
from pipelines.recommender.config import RecommenderConfig
from pipelines.recommender.features import Catalogue
from pipelines.recommender.histories import Histories
from pipelines.recommender.linear import Popularity
from pipelines.recommender.ranker import Ranker, Users
from pipelines.recommender.ranking import top_items
from shared.contracts.contract import load
from shared.publishing.bundle_files import read_config

if TYPE_CHECKING:
    from shared.publishing.bundle import Bundle

PIPELINE = "recommender"
INPUT_CONTRACT = "interactions"
_USERS_AT_ONCE = 2048
_TITLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Audience:
    """Users to serve.

    ids: their names. seen: all that they had, given now or known from training. histories: the part of it that counts,
    which leaves out what was rated below `data.min_rating`. known: bool of shape (users,), whether the trained vector
    stands for exactly this history. index: in the catalogue, -1 for a new user.
    """

    ids: pl.Series
    seen: Histories
    histories: Histories
    known: Tensor
    index: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: Tensor) -> "Audience":
        """Some of these users."""
        return Audience(
            self.ids[rows.numpy()],
            self.seen.select(rows),
            self.histories.select(rows),
            self.known[rows],
            self.index[rows],
        )

    def slices(self, size: int) -> Iterator["Audience"]:
        """All users in consecutive parts."""
        for rows in torch.arange(len(self)).split(size):
            yield self.select(rows)


@dataclass(frozen=True, slots=True)
class Scorer:
    """A fitted model with everything that recommending needs.

    past: what each known user had before the test part; it is added to what a table brings, and never shown again.
    """

    config: RecommenderConfig
    kind: str
    ranker: Ranker
    catalogue: Catalogue
    past: Histories
    version: str = "not registered"

    def save_features(self, folder: Path) -> None:
        """Writes ids, histories and the structure of the model; its tensors are `ranker.tensors()`."""
        self.catalogue.save(folder)
        save_file({"offsets": self.past.offsets, "items": self.past.items, "weights": self.past.weights},
                  folder / "past.safetensors")  # fmt: skip
        structure = {"kind": self.kind, "settings": self.ranker.settings()}
        (folder / "ranker.json").write_text(json.dumps(structure, indent=1))

    @classmethod
    def load(cls, folder: Path, version: str = "not registered") -> "Scorer":
        """From a bundle's folder: `config.json`, `model.safetensors` and `features/`."""
        features = folder / "features"
        catalogue = Catalogue.load(features)
        structure = json.loads((features / "ranker.json").read_text())
        ranker = rankers.restore(
            structure["kind"], structure["settings"], load_file(folder / "model.safetensors")
        )
        past = load_file(features / "past.safetensors")
        return cls(
            config=read_config(folder, RecommenderConfig),
            kind=structure["kind"],
            ranker=ranker,
            catalogue=catalogue,
            past=Histories(**past, num_items=len(catalogue.items)),
            version=version,
        )

    @classmethod
    def from_bundle(cls, bundle: "Bundle", version: str) -> "Scorer":
        """The scorer of a published, verified bundle."""
        return cls.load(bundle.folder, version)

    def audience(self, interactions: pl.DataFrame) -> Audience:
        """The users of a table of interactions, in the order of their ids, with all that is known of them."""
        ids = interactions["user_id"].unique().sort()
        rows = torch.from_numpy(ids.search_sorted(interactions["user_id"]).to_numpy().astype("int64"))
        given = self.catalogue.histories_of(rows, interactions, len(ids))
        liked = torch.where(torch.from_numpy(self._counts(interactions).to_numpy(writable=True)), rows, -1)
        index = self.catalogue.user_index(ids)
        before = self.past.select(index.clamp(min=0))
        before = before.keeping(torch.repeat_interleave(index >= 0, before.counts))
        counted = self.catalogue.histories_of(liked, interactions, len(ids))
        new = counted.keeping(~before.contain_pairs(counted))
        known = (index >= 0) & (new.counts == 0)
        return Audience(ids, before.union(given), before.union(new), known, index)

    def _counts(self, interactions: pl.DataFrame) -> pl.Series:
        """Which rows say that a user wanted the item: those that training would have used."""
        if self.config.data.min_rating is None or "rating" not in interactions.columns:
            return pl.repeat(True, len(interactions), eager=True)
        return (interactions["rating"] >= self.config.data.min_rating).fill_null(False)

    def users(self, audience: Audience) -> Users:
        """As the model sees them: trained vectors where nothing has changed, folded-in ones elsewhere."""
        histories = audience.histories.first_items(self.ranker.num_items)
        trained = self.ranker.known(histories, audience.index.clamp(min=0))
        changed = (~audience.known & (histories.counts > 0)).nonzero().squeeze(1)
        if trained.vectors is None or not len(changed):
            return trained
        folded = self.ranker.fold_in(histories.select(changed))
        assert folded.vectors is not None
        vectors = trained.vectors.clone()
        vectors[changed] = folded.vectors
        return Users(histories, vectors)

    def score(self, interactions: pl.DataFrame) -> pl.DataFrame:
        """Recommendations in the shape of the contract: `top_n` unseen items for every user of the table.

        Users without any item that the model knows get what is popular, and `fallback` says so.
        """
        scored_at = datetime.now(UTC)
        parts = [self._recommend(part) for part in self.audience(interactions).slices(_USERS_AT_ONCE)]
        frame = pl.concat(parts) if parts else self._recommend(self.audience(interactions))
        return frame.with_columns(
            model_version=pl.lit(self.version),
            contract=pl.lit(load(INPUT_CONTRACT).id_version),
            scored_at=pl.lit(scored_at),
        )

    def _recommend(self, audience: Audience) -> pl.DataFrame:
        users = self.users(audience)
        usable = users.histories.counts > 0
        chosen, fallback = usable.nonzero().squeeze(1), (~usable).nonzero().squeeze(1)
        personal = self._lists(self.ranker, users.select(chosen), audience.select(chosen), fallback=False)
        popular = Popularity.fit(self.past.first_items(self.catalogue.num_warm))
        strangers = Users(users.histories.select(fallback), None)
        general = self._lists(popular, strangers, audience.select(fallback), fallback=True)
        return pl.concat([personal, general]).sort("user_id", "rank")

    def _lists(self, ranker: Ranker, users: Users, audience: Audience, *, fallback: bool) -> pl.DataFrame:
        top_n, memory = self.config.serving.top_n, self.config.evaluation.memory_mb
        ranked = top_items(ranker, users, audience.seen, top_n, memory_mb=memory)
        there = ranked.scores > -torch.inf
        row, place = there.nonzero(as_tuple=True)
        items = ranked.items[row, place]
        if fallback:
            reasons = [
                "Popular with everybody: nothing is known of this user that the model could use"
            ] * len(items)
        else:
            reasons = self._reasons(users, ranked.items)
            reasons = [reasons[at] for at in (row * ranked.items.shape[1] + place).tolist()]
        return pl.DataFrame(
            {
                "user_id": audience.ids[row.numpy()],
                "rank": (place + 1).numpy(),
                "item_id": self.catalogue.items[items.numpy()],
                "score": ranked.scores[row, place].double().numpy(),
                "reason": pl.Series(reasons, dtype=pl.String),
                "fallback": pl.Series([fallback] * len(items), dtype=pl.Boolean),
            }
        )

    def _reasons(self, users: Users, items: Tensor) -> list[str]:
        """A sentence for each user and place, user by user: the items of the history that speak most for it."""
        num_reasons = self.config.explanation.num_reasons
        sentences: list[str] = []
        for rows in torch.arange(len(users)).split(256) if len(users) else ():
            part = users.select(rows)
            values = self.ranker.contributions(part, items[rows]).values
            past = part.histories.padded()[0]
            strongest = values.topk(min(num_reasons, values.shape[2]))
            for user in range(len(part)):
                for found, places in zip(
                    strongest.values[user].tolist(), strongest.indices[user], strict=True
                ):
                    named = [
                        _shortened(self.catalogue.title_of(int(past[user, at])))
                        for value, at in zip(found, places.tolist(), strict=True)
                        if value > 0
                    ]
                    sentences.append(
                        f"Because of {' and '.join(named)}" if named else "Popular with everybody"
                    )
        return sentences


def _shortened(title: str) -> str:
    """Titles of several of them make a sentence that the contract's length holds."""
    return title if len(title) <= _TITLE_LENGTH else f"{title[: _TITLE_LENGTH - 1]}…"
