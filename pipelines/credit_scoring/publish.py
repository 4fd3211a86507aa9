"""The gate of credit scoring: what must hold for a model, and how it is compared with the champion."""

from collections.abc import Mapping
from typing import Any

from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.handles import Divided, Fitted, opened
from pipelines.credit_scoring.score import Scorer
from pipelines.credit_scoring.train import outcomes
from shared.data.store import Ref, default_store
from shared.evaluation.compare import compare_auc
from shared.orchestration.publish import Published, publish_bundle
from shared.orchestration.step import step
from shared.publishing.bundle import Bundle

# The largest loss of ROC-AUC that still counts as not worse; smaller differences have no effect on a portfolio.
MARGIN = 0.01


@step(reuse=False)
def publish(divided: Divided, fitted: Fitted, bundle: Ref, config: CreditConfig) -> Published:
    """Register the bundle and promote it when it is not worse than the champion in ROC-AUC on the test part."""

    def compare(champion: Bundle, version: str) -> Mapping[str, Any]:
        test = default_store().frame(divided.test)
        with opened(fitted.scorer, config) as scorer:
            challenging = scorer.probability(test)
        defending = Scorer.from_bundle(champion, version).probability(test)
        return compare_auc(outcomes(test), challenging, defending).to_json() | {"metric": "ROC-AUC"}

    return publish_bundle(bundle, history=fitted.training["history"], compare=compare, margin=MARGIN)
