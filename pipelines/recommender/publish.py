"""The gate of the recommender: what must hold for a model, and how it is compared with the champion."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from pipelines.recommender.config import RecommenderConfig
from pipelines.recommender.evaluate import HEADLINE
from pipelines.recommender.features import index_of
from pipelines.recommender.handles import Divided, Fitted, Ingested, before_test, opened
from pipelines.recommender.metrics import per_user
from pipelines.recommender.ranking import judge
from pipelines.recommender.score import Scorer
from shared.data.store import Ref, default_store
from shared.evaluation.means import Means
from shared.orchestration.publish import Published, publish_bundle, usual_checks
from shared.orchestration.step import step
from shared.publishing.bundle import Bundle
from shared.publishing.gate import Check

# The largest loss of NDCG@20 that still counts as not worse.
MARGIN = 0.005


@step(reuse=False)
def publish(
    ingested: Ingested, divided: Divided, fitted: Fitted, bundle: Ref, config: RecommenderConfig
) -> Published:
    """Register the bundle and promote it when it is not worse than the champion in NDCG@20 on the test part."""

    def compare(champion: Bundle, version: str) -> Mapping[str, Any]:
        store = default_store()
        before = before_test(divided)
        test = store.frame(divided.test)
        with opened(ingested, divided, fitted, config) as scorer:
            challenging = headline_per_user(scorer, before, test)
        defending = headline_per_user(Scorer.from_bundle(champion, version), before, test)
        both = challenging.join(defending, on="user_id", suffix="_champion")
        means = Means({name: both[name] for name in both.columns[1:]}, seed=config.seed)
        return means.compare(HEADLINE, f"{HEADLINE}_champion", HEADLINE).to_json() | {"metric": "NDCG@20"}

    history = default_store().json(fitted.selection)[fitted.served]["training"].get("history", [])
    return publish_bundle(bundle, history=history, checks=_checks, compare=compare, margin=MARGIN)


def headline_per_user(scorer: Scorer, before: pl.DataFrame, test: pl.DataFrame) -> pl.DataFrame:
    """NDCG@20 of each test user, as the scorer would serve him with the history in `before`; 0 where it knows none
    of that."""
    histories = before.filter(pl.col("user_id").is_in(test["user_id"].unique().implode()))
    # the past is what `before` holds alone: a champion of another split may have had tested items in its training
    scorer = replace(scorer, past=scorer.catalogue.histories(histories))
    audience = scorer.audience(histories)
    relevant = scorer.catalogue.relevant_to(index_of(audience.ids, test["user_id"]), test, len(audience))
    memory = scorer.config.evaluation.memory_mb
    judged = judge(scorer.ranker, scorer.users(audience), audience.seen, relevant, 20, memory_mb=memory)
    usable = audience.histories.first_items(scorer.ranker.num_items).counts > 0
    tested = (relevant.counts > 0).numpy()
    ndcg = per_user(judged, relevant, (20,))[HEADLINE] * usable.numpy()
    return pl.DataFrame({"user_id": audience.ids, HEADLINE: ndcg}).filter(pl.Series(tested))


def _checks(bundle: Bundle) -> Mapping[str, Check]:
    checks = usual_checks(bundle)
    if bundle.metrics["served"] == "popularity":
        # it is the same for everybody: there is nothing that a removal could test
        checks["explanation_faithful"] = Check(True)
    return checks
