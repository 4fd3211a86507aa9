"""The protocol: every model ranks the whole catalogue for the same users, once, after everything was chosen."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.recommender import metrics
from pipelines.recommender.config import NEURAL, RecommenderConfig
from pipelines.recommender.features import Catalogue
from pipelines.recommender.histories import Histories
from pipelines.recommender.negatives import distinct_negatives
from pipelines.recommender.ranker import Scoring
from pipelines.recommender.rankers import TITLES
from pipelines.recommender.ranking import judge
from shared.evaluation.means import Means
from shared.evaluation.verdict import verdict

HEADLINE = "ndcg_at_20"
_K = max(metrics.CUT_OFFS)
SHOWN = 10  # items of a list that coverage and long tail are about
_FOLD_IN_USERS = 2000
# Of tuned matrix factorisation; a network below it has no place, whatever the intervals say.
_SHARE_WORTH_HAVING = 0.9


@dataclass(frozen=True, slots=True)
class TestPart:
    """The users who are tested: what they had before, what they had next, and the sampled candidates.

    index: of the users in the catalogue; relevant may hold items beyond the catalogue, which nobody can recommend.
    candidates: int64 of shape (users, 1 + negatives), one relevant item and unseen ones. popularity: int64 of shape
    (items,), users who had each item before the test.
    """

    index: Tensor
    seen: Histories
    relevant: Histories
    candidates: Tensor
    popularity: Tensor

    @classmethod
    def of(
        cls, catalogue: Catalogue, before: pl.DataFrame, test: pl.DataFrame, config: RecommenderConfig
    ) -> "TestPart":
        """Test users with a history. Who is unknown to the catalogue is left out: nothing here ranks for strangers."""
        seen, relevant = catalogue.histories(before), catalogue.relevant(test)
        index = ((relevant.counts > 0) & (seen.counts > 0)).nonzero().squeeze(1)
        popularity = torch.bincount(seen.items, minlength=seen.num_items)
        seen, relevant = seen.select(index), relevant.select(index)
        generator = torch.Generator().manual_seed(config.seed)
        place = (torch.rand(len(index), generator=generator) * relevant.counts).long()
        positive = relevant.items[relevant.offsets[:-1] + place]
        known = seen.union(relevant.first_items(seen.num_items)).first_items(catalogue.num_warm)
        negatives = distinct_negatives(
            known, torch.arange(len(index)), config.evaluation.num_sampled_negatives, seed=config.seed
        )
        return cls(index, seen, relevant, torch.cat([positive[:, None], negatives], 1), popularity)

    def select(self, rows: Tensor) -> "TestPart":
        """Some of the users."""
        return replace(
            self,
            index=self.index[rows],
            seen=self.seen.select(rows),
            relevant=self.relevant.select(rows),
            candidates=self.candidates[rows],
        )


@dataclass(frozen=True, slots=True)
class Tested:
    """One model on the test part: a number for each user and metric, the lists, and seconds for all of them."""

    per_user: Mapping[str, np.ndarray]
    shown: Tensor
    seconds: float


def run_test(ranker: Scoring, part: TestPart, config: RecommenderConfig, *, fold_in: bool = False) -> Tested:
    """Rank the catalogue for every test user, with trained vectors or, to see what it costs, with folded-in ones."""
    histories = part.seen.first_items(ranker.num_items)
    users = ranker.fold_in(histories) if fold_in else ranker.known(histories, part.index)
    started = time.perf_counter()
    judged = judge(
        ranker,
        users,
        part.seen,
        part.relevant,
        _K,
        memory_mb=config.evaluation.memory_mb,
        candidates=part.candidates,
    )
    seconds = time.perf_counter() - started
    values = metrics.per_user(judged, part.relevant)
    values |= metrics.sampled_per_user(judged, config.evaluation.num_sampled_negatives)
    tail = metrics.long_tail(part.popularity, config.evaluation.tail_share)
    shown = judged.shown[:, :SHOWN]
    in_tail = (tail[shown.clamp(min=0)] & (shown >= 0)).double().sum(1)
    values["long_tail_share"] = (in_tail / (shown >= 0).sum(1).clamp(min=1)).numpy()
    return Tested(values, judged.shown, seconds)


def column(kind: str, metric: str) -> str:
    """Name of a model's metric in the table of users."""
    return f"{kind}/{metric}"


def user_table(tested: Mapping[str, Tested], part: TestPart, catalogue: Catalogue) -> pl.DataFrame:
    """A row for each test user with all metrics of all models, as `model/metric`."""
    columns: dict[str, Any] = {
        "user_id": catalogue.users[part.index.numpy()],
        "num_seen": part.seen.counts.numpy(),
        "num_relevant": part.relevant.counts.numpy(),
    }
    for kind, result in tested.items():
        columns |= {column(kind, name): values for name, values in result.per_user.items()}
    return pl.DataFrame(columns)


def evaluation_document(
    tested: Mapping[str, Tested],
    table: pl.DataFrame,
    part: TestPart,
    selection: Mapping[str, Mapping[str, Any]],
    served: str,
    config: RecommenderConfig,
) -> dict[str, Any]:
    """Everything that report, card, gate and summary say about the numbers, as plain values."""
    names = [name for name in table.columns if "/" in name]
    means = Means(
        {name: table[name] for name in names},
        num_replicates=config.evaluation.num_bootstraps,
        seed=config.seed,
    )
    networks = [kind for kind in NEURAL if kind in tested]
    network = best_of(networks, selection) if networks else None
    plain = [kind for kind in tested if kind not in NEURAL]
    return {
        "metrics": {kind: _metrics(means, kind, result) for kind, result in tested.items()},
        "against_served": {
            kind: means.compare(column(served, HEADLINE), column(kind, HEADLINE), HEADLINE).to_json()
            for kind in tested
            if kind != served
        },
        "served": served,
        "network": network,
        "verdict": _verdict(means, network, plain, served, asked=config.serving.model != "auto"),
        "lists": {
            kind: metrics.catalogue_use(
                result.shown[:, :SHOWN], part.popularity, tail_share=config.evaluation.tail_share
            )
            for kind, result in tested.items()
        },
        "sampled": {
            "audit": dict(
                metrics.sampled_audit(
                    part.candidates, part.seen.union(part.relevant.first_items(part.seen.num_items))
                )
            ),
            "negatives": config.evaluation.num_sampled_negatives,
            "order_agreement": _order_agreement(means, list(tested), config),
        },
        "users": _users_by_activity(table, served, config),
        "unreachable": float((part.relevant.items >= part.seen.num_items).double().mean()),
        "rank_seconds": {kind: result.seconds for kind, result in tested.items()},
    }


def best_of(kinds: Sequence[str], selection: Mapping[str, Mapping[str, Any]]) -> str:
    """The kind with the best validation NDCG@20."""
    return max(kinds, key=lambda kind: selection[kind]["best"][HEADLINE])


def _metrics(means: Means, kind: str, result: Tested) -> dict[str, Any]:
    found = {f"test/{name}": means.metric(column(kind, name)).to_json() for name in result.per_user}
    # neither much nor little of it is better by itself
    found["test/long_tail_share"]["higher_is_better"] = None
    return found


def _verdict(
    means: Means, network: str | None, plain: Sequence[str], served: str, *, asked: bool
) -> dict[str, Any]:
    advice = f"Served is {TITLES[served]}, {'as asked for' if asked else 'the best on validation'}."
    if network is None:
        return {
            "sentence": f"No network was trained. {advice}",
            "beats": "within noise",
            "best_baseline": served,
        }
    judged = verdict(
        f"The best network, {TITLES[network]}",
        means.metric(column(network, HEADLINE), f"test/{HEADLINE}"),
        {kind: means.compare(column(network, HEADLINE), column(kind, HEADLINE), HEADLINE) for kind in plain},
        metric_label="NDCG@20",
        baseline_names={kind: TITLES[kind] for kind in plain},
    )
    value = means.metric(column(network, HEADLINE)).value
    worth = {
        "yes": "is worth it",
        "no": "is not worth its cost",
        "within noise": f"shows no advantage over {TITLES[judged.best_baseline]}, which costs less",
    }[judged.beats]
    reference = means.metric(column("mf", HEADLINE)).value if "mf" in plain else 0.0
    if value < _SHARE_WORTH_HAVING * reference:
        worth = f"should not be used: it reaches {value / reference:.0%} of tuned matrix factorisation"
    return {**judged.to_json(), "sentence": f"{judged.sentence} Here a network {worth}. {advice}"}


def _order_agreement(means: Means, kinds: Sequence[str], config: RecommenderConfig) -> float | None:
    """Kendall's tau between the order of the models by full-catalogue NDCG@10 and by the sampled metric."""
    sampled = f"ndcg_at_10_sampled{config.evaluation.num_sampled_negatives}"
    full = {kind: means.metric(column(kind, "ndcg_at_10")).value for kind in kinds}
    among = {kind: means.metric(column(kind, sampled)).value for kind in kinds}
    signs = [np.sign((full[a] - full[b]) * (among[a] - among[b])) for a, b in combinations(kinds, 2)]
    return float(np.mean(signs)) if signs else None


def _users_by_activity(table: pl.DataFrame, served: str, config: RecommenderConfig) -> list[dict[str, Any]]:
    """NDCG@20 of the served model for the third of the users with the fewest, middle and most items before."""
    order = table["num_seen"].rank("ordinal").to_numpy()
    third = np.minimum((order - 1) * 3 // max(len(table), 1), 2)
    groups = []
    for place, name in enumerate(("fewest", "middle", "most")):
        rows = table.filter(pl.Series(third == place))
        if not len(rows):
            continue
        means = Means(
            {"ndcg": rows[column(served, HEADLINE)]},
            num_replicates=config.evaluation.num_bootstraps,
            seed=config.seed,
        )
        groups.append(
            {
                "group": name,
                "items": [int(rows["num_seen"].min()), int(rows["num_seen"].max())],  # type: ignore[arg-type]
                HEADLINE: means.metric("ndcg").to_json(),
            }
        )
    return groups


def fold_in_loss(ranker: Scoring, part: TestPart, config: RecommenderConfig) -> dict[str, Any]:
    """NDCG@20 when test users are treated as new ones, beside that with their trained vectors, on up to 2,000."""
    few = part.select(torch.arange(min(len(part.index), _FOLD_IN_USERS)))
    columns = {
        "trained": run_test(ranker, few, config).per_user[HEADLINE],
        "folded_in": run_test(ranker, few, config, fold_in=True).per_user[HEADLINE],
    }
    means = Means(columns, num_replicates=config.evaluation.num_bootstraps, seed=config.seed)
    return {
        "users": len(few.index),
        **{name: means.metric(name).to_json() for name in columns},
        "difference": means.compare("folded_in", "trained", HEADLINE).to_json(),
    }


def mean_metrics(result: Tested, config: RecommenderConfig) -> dict[str, Any]:
    """Metrics of one model alone, with intervals."""
    means = Means(result.per_user, num_replicates=config.evaluation.num_bootstraps, seed=config.seed)
    return {name: means.metric(name).to_json() for name in result.per_user}


def not_trained(catalogue: Catalogue, config: RecommenderConfig) -> dict[str, str]:
    """Models that were asked for and are missing in the table, with the reason."""
    reasons, wanted = {}, {*config.models, config.serving.model}
    if "hybrid" in wanted and not catalogue.has_attributes:
        reasons["hybrid"] = "there are no attributes of items or users"
    if "ease" in wanted and catalogue.num_warm > config.linear.ease_max_items:
        reasons["ease"] = (
            f"its matrix of {catalogue.num_warm:,} x {catalogue.num_warm:,} items is over the limit"
        )
    return reasons
