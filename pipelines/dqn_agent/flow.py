"""The flows: `train` from an environment to a published policy, `score` from situations to decisions."""

from pipelines.dqn_agent import steps
from pipelines.dqn_agent.config import PRESETS, AgentConfig
from pipelines.dqn_agent.handles import Varied
from pipelines.dqn_agent.ingest import identify
from pipelines.dqn_agent.maps import require_map_features
from pipelines.dqn_agent.publish import publish
from pipelines.dqn_agent.score_table import score_table
from pipelines.dqn_agent.settings import known_settings
from pipelines.dqn_agent.train import ablations
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import configured
from shared.orchestration.publish import completed
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
    return completed(published, bundle)


configure = configured(PRESETS, suiting=known_settings)
run = run_of(train, configure)
score = score_of("dqn_agent", score_table)
