"""The pipelines that exist: names, contracts, and where the flow of each is.

Imports nothing heavy, so that the command line can list and look up pipelines at once.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from shared.errors import RequestError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from shared.publishing.summary import RunSummary


class Flow(Protocol):
    """What the `flow` module of every pipeline offers to the applications."""

    def run(
        self,
        preset: str,
        source: str,
        overrides: Mapping[str, Any],
        *,
        use_cache: bool = True,
        progress: bool,
    ) -> RunSummary:
        """Train, evaluate, explain and publish. `overrides` maps dotted config keys to plain values."""
        ...

    def score(self, input_path: Path, output_path: Path, *, version: str, explain: bool) -> BaseModel:
        """Score a file with a published model; `version` is `champion` or a version number."""
        ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One entry of the catalogue."""

    name: str
    title: str
    question: str
    input_contract: str
    output_contract: str
    module: str
    sources: tuple[str, ...]
    headline: str
    """The metric that stands for the pipeline where there is room for one, for example `test/roc_auc`."""

    def flow(self) -> Flow:
        """Import the flow module. Takes seconds the first time: it pulls in torch and Prefect."""
        return cast(Flow, importlib.import_module(f"{self.module}.flow"))


PIPELINES: tuple[Pipeline, ...] = (
    Pipeline(
        name="credit_scoring",
        title="Credit scoring",
        question="Will this applicant default, why, and can the lender defend the decision?",
        input_contract="credit_applications",
        output_contract="credit_decisions",
        module="pipelines.credit_scoring",
        sources=("synthetic", "german_credit", "taiwan_default"),
        headline="test/roc_auc",
    ),
    Pipeline(
        name="dqn_agent",
        title="Agents",
        question="Can a learned policy beat our rule of thumb in this environment, how surely, and why does it act as "
        "it does?",
        input_contract="environment_card",
        output_contract="agent_decisions",
        module="pipelines.dqn_agent",
        sources=("synthetic", "CartPole-v1", "fieldwork/MachineMaintenance-v0"),
        headline="test/return_iqm",
    ),
    Pipeline(
        name="ecg_anomaly",
        title="ECG anomaly detection",
        question="Which heartbeats of this recording look abnormal, where in the beat, and can the alarm rate be "
        "trusted?",
        input_contract="ecg_records",
        output_contract="ecg_alerts",
        module="pipelines.ecg_anomaly",
        sources=("synthetic", "mitdb_ds1"),
        headline="test/auroc",
    ),
    Pipeline(
        name="fraud_detection",
        title="Fraud detection",
        question="Which of today's transactions should our analysts look at, and why?",
        input_contract="card_transactions",
        output_contract="fraud_alerts",
        module="pipelines.fraud_detection",
        sources=("synthetic", "fraud_handbook"),
        headline="test/average_precision",
    ),
    Pipeline(
        name="medical_segmentation",
        title="Medical segmentation",
        question="Where is the structure, how large is it, how sure are we, and which cases must a human look at?",
        input_contract="image_studies",
        output_contract="segmentation_results",
        module="pipelines.medical_segmentation",
        sources=("synthetic", "kvasir_seg", "msd_hippocampus"),
        headline="test/dice",
    ),
    Pipeline(
        name="predictive_maintenance",
        title="Predictive maintenance",
        question="Which machine will fail within its next hours, how sure are we, and when is the cheapest moment to "
        "service it?",
        input_contract="machine_sensor_readings",
        output_contract="maintenance_forecasts",
        module="pipelines.predictive_maintenance",
        sources=("synthetic", "cmapss"),
        headline="test/rmse_true",
    ),
    Pipeline(
        name="recommender",
        title="Recommender",
        question="What should we show each user next, and is a neural model worth it here?",
        input_contract="interactions",
        output_contract="recommendations",
        module="pipelines.recommender",
        sources=("synthetic", "movielens_100k", "gowalla"),
        headline="test/ndcg_at_20",
    ),
    Pipeline(
        name="social_sentiment",
        title="Social-media sentiment",
        question="What do people say about us, how is it changing, which posts decide it, and how far can the count be "
        "trusted?",
        input_contract="social_posts",
        output_contract="post_sentiment",
        module="pipelines.social_sentiment",
        sources=("synthetic", "semeval2017", "tweeteval_sentiment"),
        headline="test/macro_recall",
    ),
)


def find(name: str) -> Pipeline:
    """Look a pipeline up by name, with `-` or `_` between the words.

    Raises RequestError that names the closest matches when there is no such pipeline.
    """
    wanted = name.strip().lower().replace("-", "_")
    names = [pipeline.name for pipeline in PIPELINES]
    if wanted in names:
        return PIPELINES[names.index(wanted)]
    close = difflib.get_close_matches(wanted, names, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "`fieldwork list` shows them all."
    raise RequestError(f"Expected the name of a pipeline. Received {name!r}. {hint}")
