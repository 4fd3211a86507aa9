"""From histories to fitted models: every kind is tuned on the validation part, then fitted again with it.

Two stages, each with the same code: `select` learns from the training part and is judged on validation; `final`
learns from both with what was selected. The test part has no say in either.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.recommender.config import RecommenderConfig
from pipelines.recommender.features import Catalogue
from pipelines.recommender.histories import Histories
from pipelines.recommender.ials import Ials
from pipelines.recommender.linear import Ease, ItemKnn, Popularity, common_users
from pipelines.recommender.metrics import per_user
from pipelines.recommender.model import Network, NeuMF, loss, pretrained
from pipelines.recommender.negatives import Negatives
from pipelines.recommender.network_ranker import NetworkRanker, NetworkSettings
from pipelines.recommender.ranker import Ranker
from pipelines.recommender.ranking import judge
from shared.training.batches import DeviceBatches
from shared.training.fit import FitResult, fit
from shared.training.progress import Progress
from shared.training.settings import FitSettings

MONITOR = "ndcg_at_20"

# A dense step of Adam costs as much as the rows of the table, a step by rows as much as those looked up: the latter
# wins from about ten rows a lookup on, in tables that leave the cache (2026-11, 1 and 2 threads).
_SPARSE_FROM_ROWS = 20_000
_SPARSE_FROM_ROWS_PER_LOOKUP = 10


@dataclass(frozen=True, slots=True)
class Judge:
    """The validation part: what users had before, and what they had next. Fitting never sees the latter."""

    index: Tensor
    seen: Histories
    relevant: Histories
    memory_mb: int

    @classmethod
    def of(
        cls, seen: Histories, relevant: Histories, *, max_users: int, memory_mb: int, seed: int
    ) -> "Judge":
        """All users with something to find, or `max_users` of them drawn by the seed."""
        index = (relevant.counts > 0).nonzero().squeeze(1)
        if len(index) > max_users:
            generator = torch.Generator().manual_seed(seed)
            index = index[torch.randperm(len(index), generator=generator)[:max_users]].sort().values
        return cls(index, seen.select(index), relevant.select(index), memory_mb)

    def ndcg(self, ranker: Ranker) -> float:
        """Mean NDCG@20 over the users."""
        users = ranker.known(self.seen.first_items(ranker.num_items), self.index)
        judged = judge(ranker, users, self.seen, self.relevant, 20, memory_mb=self.memory_mb)
        return float(per_user(judged, self.relevant, (20,))[MONITOR].mean())


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of knobs and how it did on validation; `epochs` for networks: how many were best."""

    knobs: Mapping[str, float]
    ndcg: float
    epochs: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"knobs": dict(self.knobs), MONITOR: self.ndcg, "epochs": self.epochs}


@dataclass(frozen=True, slots=True)
class Selected:
    """A model of the first stage with the trials that led to it."""

    ranker: Ranker
    best: Trial
    trials: tuple[Trial, ...]
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trainer:
    """Fits any kind of model on histories over the items of the catalogue."""

    config: RecommenderConfig
    catalogue: Catalogue
    checkpoints: Path | None = None
    progress: Progress | None = None

    def select(self, kind: str, histories: Histories, judge: Judge, before: Mapping[str, Ranker]) -> Selected:
        """The best of the kind's grid on validation. `before` holds what a pre-trained NeuMF starts from."""
        trials: list[Trial] = []
        best: Selected | None = None
        for number, (knobs, build) in enumerate(self._grid(kind, histories, before)):
            ranker, result = build(judge, None, f"{kind}-select-{number}")
            if result is None:
                trial = Trial(knobs, judge.ndcg(ranker))
            else:
                ndcg = result.history[result.best_epoch][MONITOR]
                trial = Trial(knobs, ndcg, result.best_epoch + 1)
            trials.append(trial)
            if best is None or trial.ndcg > best.best.ndcg:
                best = Selected(ranker, trial, (), _training_record(ranker, result))
        assert best is not None
        return replace(best, trials=tuple(trials))

    def final(self, kind: str, histories: Histories, chosen: Trial, before: Mapping[str, Ranker]) -> Ranker:
        """The same kind with the chosen knobs and epochs, from all histories before the test part."""
        for knobs, build in self._grid(kind, histories, before):
            if knobs == chosen.knobs:
                return build(None, chosen.epochs, f"{kind}-final")[0]
        raise ValueError(f"Expected knobs of the grid of {kind}. Received {chosen.knobs}.")

    def _grid(self, kind: str, histories: Histories, before: Mapping[str, Ranker]) -> Iterator["Option"]:
        usable = histories if kind == "hybrid" else histories.first_items(self.catalogue.num_warm)
        if kind in ("popularity", "item_knn", "ease", "ials"):
            yield from _linear_options(kind, usable, self.config)
            return
        decays = self.config.training.mf_weight_decay if kind == "mf" else self.config.training.weight_decay
        for decay in decays:
            yield {"weight_decay": decay}, partial(self._train_network, kind, usable, before, decay)

    def _train_network(
        self,
        kind: str,
        histories: Histories,
        before: Mapping[str, Ranker],
        weight_decay: float,
        judge: Judge | None,
        epochs: int | None,
        name: str,
    ) -> tuple[Ranker, FitResult]:
        training, seed = self.config.training, self.config.seed
        layout = self._layout(kind, histories)
        network = self._initial(kind, layout, before)
        settings = FitSettings(
            epochs=epochs or training.epochs,
            learning_rate=training.learning_rate,
            optimizer="adamw",
            weight_decay=weight_decay,
            decay_everything=True,
            monitor=MONITOR if judge else "train_loss",
            minimize=judge is None,
            patience=training.patience if judge else None,
            restore_best=judge is not None,
            checkpoint_every_seconds=training.checkpoint_every_seconds,
            seed=seed,
        )

        def wrap(trained: nn.Module) -> NetworkRanker:
            return NetworkRanker(
                trained,  # type: ignore[arg-type]
                layout,
                fold_in_steps=self.config.serving.fold_in_steps,
                integration_steps=self.config.explanation.integration_steps,
            )

        result = fit(
            network,
            loss,
            pair_batches(
                histories,
                layout.num_negatives,
                training.batch_size,
                num_candidates=self.catalogue.num_warm,
                seed=seed,
            ),
            settings,
            validate=None if judge is None else lambda trained: {MONITOR: judge.ndcg(wrap(trained))},
            checkpoint_dir=None if self.checkpoints is None else self.checkpoints / name,
            progress=self.progress,
        )
        return wrap(result.model), result

    def _layout(self, kind: str, histories: Histories) -> NetworkSettings:
        network, training = self.config.network, self.config.training
        layout = NetworkSettings(
            family="mf" if kind == "mf" else "neumf",
            num_users=len(histories),
            num_items=histories.num_items,
            num_factors=network.gmf_factors,
            tower=network.tower,
            dropout=network.dropout,
            init_std=network.init_std,
            num_negatives=training.num_negatives,
        )
        changes: dict[str, dict[str, Any]] = {
            "mf": {
                "num_factors": network.mf_factors,
                "tower": (),
                "num_negatives": training.mf_num_negatives,
            },
            "gmf": {"tower": ()},
            "mlp": {"num_factors": 0},
            "hybrid": {"id_dropout": network.id_dropout},
        }
        layout = replace(layout, **changes.get(kind, {}))
        return replace(
            layout,
            sparse_users=_sparse(layout.num_users, positives_in(training.batch_size, layout.num_negatives)),
            sparse_items=_sparse(layout.num_items, training.batch_size),
        )

    def _initial(self, kind: str, layout: NetworkSettings, before: Mapping[str, Ranker]) -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            of_users = self.catalogue.user_attributes if kind == "hybrid" else None
            of_items = self.catalogue.item_attributes if kind == "hybrid" else None
            network = layout.build(of_users, of_items)
        if kind == "neumf":
            gmf, mlp = (before[name] for name in ("gmf", "mlp"))
            assert isinstance(network, NeuMF)
            pretrained(network, gmf.network, mlp.network, self.config.network.pretrained_share)  # type: ignore[attr-defined]
        return network


def _training_record(ranker: Ranker, result: FitResult | None) -> dict[str, Any]:
    """How a network was trained, with its speed in samples: each row holds a positive and its negatives."""
    if result is None:
        return {}
    assert isinstance(ranker, NetworkRanker)
    samples = result.samples_per_second * (1 + ranker.layout.num_negatives)
    return {**result.to_json(), "samples_per_second": samples}


def _sparse(num_rows: int, num_lookups: int) -> bool:
    """Whether a table is better updated by the rows of the batch alone."""
    return num_rows >= max(_SPARSE_FROM_ROWS, _SPARSE_FROM_ROWS_PER_LOOKUP * num_lookups)


def positives_in(batch_size: int, num_negatives: int) -> int:
    """Positives in a batch of so many samples, which holds the negatives of each."""
    return max(1, batch_size // (1 + num_negatives))


Build = Callable[[Judge | None, int | None, str], tuple[Ranker, FitResult | None]]
Option = tuple[Mapping[str, float], Build]


def _linear_options(kind: str, histories: Histories, config: RecommenderConfig) -> Iterator[Option]:
    """Models without a network: knobs, and how to fit with them."""
    linear = config.linear

    def option(fit: Callable[..., Ranker], *data: Any, **knobs: float) -> Option:
        return knobs, lambda judge, epochs, name: (fit(*data, **knobs), None)

    if kind == "popularity":
        yield option(Popularity.fit, histories)
    elif kind == "item_knn":
        for user_exponent in linear.knn_user_exponent:
            common = common_users(histories, user_exponent=user_exponent)
            for target, neighbours in product(linear.knn_target_exponent, linear.knn_neighbours):
                neighbourhood = partial(_item_knn, common, histories)
                knobs = {
                    "user_exponent": user_exponent,
                    "target_exponent": target,
                    "num_neighbours": neighbours,
                }
                yield option(neighbourhood, **knobs)
    elif kind == "ease":
        common = common_users(histories)
        for strength in linear.ease_regularisation:
            yield option(Ease.fit, common, histories, regularisation=strength)
    else:
        for strength, unobserved in product(linear.ials_regularisation, linear.ials_unobserved_weight):
            alternating = partial(
                Ials.fit,
                histories,
                num_factors=linear.ials_factors,
                num_sweeps=linear.ials_sweeps,
                seed=config.seed,
            )
            yield option(alternating, regularisation=strength, unobserved_weight=unobserved)


def _item_knn(
    common: Any, histories: Histories, *, num_neighbours: float, target_exponent: float, **_: float
) -> ItemKnn:
    return ItemKnn.fit(common, histories, num_neighbours=int(num_neighbours), target_exponent=target_exponent)


def pair_batches(
    histories: Histories, num_negatives: int, batch_size: int, *, num_candidates: int, seed: int
) -> DeviceBatches:
    """Batches for `loss`: `user` (B,) and `items` (B, 1 + negatives), the first had and the others not.

    batch_size counts samples: a positive and its negatives are 1 + num_negatives of them and stay together, so that
    a user's vector is looked up once for all of them. Negatives are drawn anew for every epoch from the first
    `num_candidates` items: among items that nobody could have had, they would teach that nobody wants them.
    """
    # who has had everything leaves nothing to tell apart
    users = histories.users
    kept = histories.counts[users] < num_candidates
    users, positives = users[kept], histories.items[kept].int()[:, None]
    negatives = Negatives(histories.first_items(num_candidates), seed=seed)

    def fresh(epoch: int) -> dict[str, Tensor]:
        return {"items": torch.cat([positives, negatives.of_epoch(users, num_negatives, epoch)], 1)}

    tensors = {"user": users.int(), "items": positives.expand(-1, 1 + num_negatives)}
    return DeviceBatches(tensors, positives_in(batch_size, num_negatives), seed=seed, on_epoch=fresh)
