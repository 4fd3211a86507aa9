"""The gate of agents: what must hold for a model, and how it is compared with the champion."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.dqn_agent.config import AgentConfig
from pipelines.dqn_agent.handles import Ingested, Judged, Ruled, Trained
from pipelines.dqn_agent.held_out import comparable
from pipelines.dqn_agent.held_out import compare as compared
from pipelines.dqn_agent.play import play
from pipelines.dqn_agent.score import Scorer
from pipelines.dqn_agent.seeds import Purpose, are_apart, seed_of
from shared.data.store import Ref, default_store
from shared.orchestration.publish import Published, publish_bundle, usual_checks
from shared.orchestration.step import step
from shared.publishing.bundle import Bundle
from shared.publishing.gate import Check

# The largest loss that still counts as not worse, as a share of what the champion gains over acting at random.
MARGIN = 0.02


@step(reuse=False)
def publish(
    ingested: Ingested, ruled: Ruled, trained: Trained, judged: Judged, bundle: Ref, config: AgentConfig
) -> Published:
    """Register the bundle; promote it when it is not worse than the champion, which plays the same test episodes."""
    store = default_store()

    def compare(champion: Bundle, version: str) -> Mapping[str, Any] | None:
        theirs = Scorer.from_bundle(champion, version)
        if not comparable(ingested.card, config, theirs.card, theirs.config):
            return None
        # how many frames it sees is the champion's own; whose code may run is said by this run alone
        environment = config.environment.model_copy(
            update={"frame_stack": theirs.config.environment.frame_stack}
        )
        seed = seed_of(config.seed, Purpose.TEST)
        played = play(theirs.act, ingested.card, environment, config.evaluation.num_episodes, seed)
        random = store.frame(ruled.episodes).filter(pl.col("policy") == "random")["return"]
        mine = store.frame(judged.table).filter(pl.col("network_seed") == judged.served_seed)["return"]
        return compared(mine.to_numpy(), played.returns, random.to_numpy(), config)

    history = _history(store.frame(trained.curves))
    return publish_bundle(bundle, history=history, checks=_checks, compare=compare, margin=MARGIN)


def _checks(bundle: Bundle) -> Mapping[str, Check]:
    # worlds that come back are the one way in which a test could be known beforehand
    apart = Check(are_apart(AgentConfig.model_validate(bundle.config)))
    return usual_checks(bundle) | {"leak_audit_clean": apart}


def _history(curves: pl.DataFrame) -> list[dict[str, Any]]:
    """A mapping for each look at the networks while they learnt; its epoch is the number of steps."""
    looks = curves.group_by("steps", maintain_order=True).agg("seed", "return_mean")
    return [
        {"epoch": steps} | {f"return_mean/seed_{seed}": value for seed, value in zip(*of_seeds, strict=True)}
        for steps, *of_seeds in looks.iter_rows()
    ]
