"""The flows: `train` from an environment to a published policy, `score` from situations to decisions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.dqn_agent import steps
from pipelines.dqn_agent.config import PRESETS, AgentConfig
from pipelines.dqn_agent.handles import Varied
from pipelines.dqn_agent.ingest import environment_id, identify
from pipelines.dqn_agent.maps import require_map_features
from pipelines.dqn_agent.publish import publish
from pipelines.dqn_agent.score_table import score_input
from pipelines.dqn_agent.settings import known_settings
from pipelines.dqn_agent.train import ablations
from shared.orchestration.artifacts import show_summary
from shared.orchestration.flows import flow
from shared.orchestration.overrides import preset_config, with_overrides
from shared.orchestration.run import run_flow, timed_score
from shared.orchestration.scoring import ScoreSummary
from shared.orchestration.stored import read_summary
from shared.publishing.summary import RunSummary


@flow(name="dqn_agent-train", persist_result=False, validate_parameters=False)
def train(source: str, config: AgentConfig) -> RunSummary:
    """Environment card, contract, rules, networks of all seeds, evidence, bundle, registry."""
    ingested = steps.ingest(identify(source, config.environment), config.environment)
    require_map_features(ingested.card, config.explanation)
    ruled = steps.rules(ingested, steps.ruled(config))
    trained = steps.train(ingested, steps.learnt(config))
    judged = steps.evaluate(ingested, ruled, trained, config)
    watched = steps.watch(ingested, judged, config)
    explained = steps.explain(ingested, judged, config)
    varied = []
    for name, variant in (ablations(config) if config.ablation else {}).items():
        learnt = steps.train(ingested, steps.learnt(variant))
        varied.append(
            Varied(variant=name, trained=learnt, judged=steps.evaluate(ingested, ruled, learnt, variant))
        )
    bundle = steps.assemble(ingested, ruled, trained, judged, watched, explained, varied, config)
    published = publish(ingested, ruled, trained, judged, bundle, config)
    summary = published.complete(read_summary(bundle))
    show_summary(summary)
    return summary


@flow(name="dqn_agent-score", persist_result=False, validate_parameters=False)
def score_flow(input_path: Path, output_path: Path, version: str, explain: bool) -> ScoreSummary:
    """Table or card, contract, champion, decisions or episodes, drift."""
    return score_input(input_path, output_path, version=version, explain=explain)


def run(
    preset: str, source: str, overrides: Mapping[str, Any], *, use_cache: bool = True, progress: bool = False
) -> RunSummary:
    """Train, evaluate, explain and publish; what the command line and the schedules call."""
    config = configure(preset, source, overrides)
    return run_flow(train, source, config, use_cache=use_cache, progress=progress)


def score(
    input_path: Path, output_path: Path, *, version: str = "champion", explain: bool = False
) -> BaseModel:
    """Decide in the situations of a table with a published policy, or let it play the environment of a card."""
    return timed_score(lambda: score_flow(input_path, output_path, version, explain))


def configure(preset: str, source: str, overrides: Mapping[str, Any]) -> AgentConfig:
    """The preset's configuration, with what is known of the environment, and single knobs changed."""
    config = preset_config(PRESETS, preset)
    known = known_settings(environment_id(source), preset)
    return with_overrides(config, {**known, **overrides})
