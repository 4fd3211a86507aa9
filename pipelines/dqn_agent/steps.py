"""The steps of the flows: each takes references and configuration, and returns references."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import AgentConfig, EnvironmentConfig, EvaluationConfig, ExplanationConfig
from pipelines.dqn_agent.environments.rules import fit_rules
from pipelines.dqn_agent.environments.simulator import SimulatedVectorEnv, Simulator
from pipelines.dqn_agent.evaluate import evaluation_document
from pipelines.dqn_agent.evidence import EvidenceDocuments, first_summary
from pipelines.dqn_agent.explain import explain_visited
from pipelines.dqn_agent.film import film_of
from pipelines.dqn_agent.handles import (
    Ingested,
    Judged,
    Ruled,
    Trained,
    Varied,
    Watched,
    opened,
    stored_states,
)
from pipelines.dqn_agent.ingest import read_environment
from pipelines.dqn_agent.make import make_vector
from pipelines.dqn_agent.model_card import run_model_card
from pipelines.dqn_agent.play import Episodes, play, record
from pipelines.dqn_agent.playing import NETWORK, episodes_of, seen_by, timeline_of, visited_in_development
from pipelines.dqn_agent.report import run_report
from pipelines.dqn_agent.score import PIPELINE, Scorer
from pipelines.dqn_agent.seeds import Purpose, seed_of
from pipelines.dqn_agent.train import learn
from pipelines.dqn_agent.visited import Recorder
from pipelines.dqn_agent.watched import watched
from shared.data.store import Ref, default_store
from shared.monitoring.profile import reference_profile
from shared.orchestration.bundled import stored_bundle
from shared.orchestration.overrides import as_by_default
from shared.orchestration.run import current_run
from shared.orchestration.step import checkpoint_folder, step
from shared.orchestration.stored import Evidence, Source, stored_folder
from shared.publishing.plain import plain

# Settings that only judge or explain what was learnt, or say whether to learn with others too.
NOT_LEARNT = (
    "preset",
    "evaluation.num_episodes",
    "evaluation.num_bootstraps",
    "evaluation.solved_at",
    "explanation",
    "ablation",
)


@step()
def ingest(source: Source, config: EnvironmentConfig) -> Ingested:
    """Read the card or make it, hold it against its contract, and step the environment to see whether it fits."""
    return Ingested.from_card(source, read_environment(source.name, config), config)


def ruled(config: AgentConfig) -> AgentConfig:
    """What rules and their episodes depend on; all else is as by default, so that changing it fits none again."""
    evaluation = EvaluationConfig(num_episodes=config.evaluation.num_episodes)
    explanation = ExplanationConfig(film_steps=config.explanation.film_steps)
    return AgentConfig(
        seed=config.seed, environment=config.environment, evaluation=evaluation, explanation=explanation
    )


@step()
def rules(ingested: Ingested, config: AgentConfig) -> Ruled:
    """Fit the rules of thumb on worlds of their own, and let them play the test episodes; config: see `ruled`."""
    card, environment, store = ingested.card, config.environment, default_store()
    test = seed_of(config.seed, Purpose.TEST)
    fitted = fit_rules(card.id, environment, seed_of(config.seed, Purpose.RULES))
    played = [
        play(rule.act, card, environment, config.evaluation.num_episodes, test).to_frame(rule.name, card)
        for rule in fitted
    ]
    steps = config.explanation.film_steps
    shown = [
        timeline_of(rule.name, record(rule.act, None, card, environment, test, steps)) for rule in fitted
    ]
    return Ruled(
        descriptions={rule.name: rule.describe() for rule in fitted},
        episodes=store.put_frame(pl.concat(played)),
        timeline=store.put_frame(pl.concat(shown)),
    )


def learnt(config: AgentConfig) -> AgentConfig:
    """What training looks at; all else is as by default, so that changing it does not train again."""
    return as_by_default(config, NOT_LEARNT)


@step()
def train(ingested: Ingested, config: AgentConfig) -> Trained:
    """All seeds side by side, each in environments of its own; config: see `learnt`."""
    seeds = range(config.seed, config.seed + config.num_seeds)
    folder = checkpoint_folder()
    assert folder is not None, "learning is a step that can be gone on with"
    found = learn(ingested.card, config, seeds, folder, current_run().bar())
    return Trained.of(seeds, found)


@step()
def evaluate(ingested: Ingested, ruled: Ruled, trained: Trained, config: AgentConfig) -> Judged:
    """All numbers, from test episodes that every network and every rule played; one network is served.

    It is the one that did best on development episodes.
    """
    card, store = ingested.card, default_store()
    curves, rules_played = store.frame(trained.curves), store.frame(ruled.episodes)
    selection = dict(zip(trained.seeds, trained.selection, strict=True))
    best = max(selection, key=selection.__getitem__)
    networks: dict[int, Episodes] = {}
    recorder = Recorder(card)
    for seed, weights in trained.by_seed().items():
        policy = Scorer.of(card, config, weights)
        act = seen_by(recorder, policy.act) if seed == best else policy.act
        if seed == best:
            served = policy
        networks[seed] = play(
            act, card, config.environment, config.evaluation.num_episodes, seed_of(config.seed, Purpose.TEST)
        )
    rules_by_name = {
        name: episodes_of(rules_played.filter(pl.col("policy") == name), card) for name in ruled.descriptions
    }
    document = evaluation_document(
        card, networks, rules_by_name, ruled.descriptions, selection, curves, config
    )
    served = served.with_visited(visited_in_development(served))
    return Judged(
        document=store.put_json(plain(document)),
        table=store.put_frame(_all_episodes(networks, rules_played, card)),
        scorer=stored_folder(served.save),
        states=stored_states(recorder.visited().states),
        served_seed=best,
    )


@step()
def watch(ingested: Ingested, judged: Judged, config: AgentConfig) -> Watched:
    """One episode of the served policy, step by step, and its film where the environment draws itself."""
    card, store, test = ingested.card, default_store(), seed_of(config.seed, Purpose.TEST)
    with opened(judged) as scorer:
        steps = config.explanation.film_steps
        trace = record(scorer.act, scorer.values, card, config.environment, test, steps)
    film = film_of(trace.frames)
    return Watched(
        timeline=store.put_frame(timeline_of(NETWORK, trace)),
        film=None if film is None else store.put_bytes(film, ".png"),
    )


@step()
def explain(ingested: Ingested, judged: Judged, config: AgentConfig) -> Evidence:
    """Explain decisions of test episodes, and check the explanations; on our own simulators against the truth."""
    store = default_store()
    with opened(judged) as scorer:
        truth = _simulator(ingested.card, config.environment)
        document, table = explain_visited(scorer, judged.visited(), truth)
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def assemble(
    ingested: Ingested,
    ruled: Ruled,
    trained: Trained,
    judged: Judged,
    shown: Watched,
    explained: Evidence,
    varied: Sequence[Varied],
    config: AgentConfig,
) -> Ref:
    """Write report, model card and bundle."""
    with opened(judged) as scorer:
        evidence = _evidence(ingested, ruled, trained, judged, shown, explained, varied)
        rows = ingested.counts() | _counts(evidence, config)
        summary = first_summary(ingested.source.name, ingested.contract, rows, evidence, config)
        return stored_bundle(
            ingested.facts(PIPELINE, preset=config.preset, seed=config.seed),
            summary,
            reference_profile(*watched(scorer, judged.visited())),
            config=config,
            metrics={**evidence.evaluation, "explanation": evidence.explanation},
            tensors=scorer.tensors(),
            features=scorer.save_features,
            model_card=run_model_card(scorer, summary, evidence),
            report_html=run_report(config, summary, evidence),
        )


def _all_episodes(networks: Mapping[int, Episodes], rules: pl.DataFrame, card: Card) -> pl.DataFrame:
    """See `evidence.EvidenceDocuments`."""
    frames = [
        played.to_frame(NETWORK, card).with_columns(network_seed=pl.lit(seed, dtype=pl.Int64))
        for seed, played in networks.items()
    ]
    return pl.concat([*frames, rules.with_columns(network_seed=pl.lit(None, dtype=pl.Int64))])


def _simulator(card: Card, config: EnvironmentConfig) -> Simulator | None:
    """What our own environments are made of; None for others, of which nobody knows what matters."""
    env = make_vector(card.id, 1, config)
    try:
        return env.simulator if isinstance(env, SimulatedVectorEnv) else None
    finally:
        env.close()


def _counts(evidence: EvidenceDocuments, config: AgentConfig) -> dict[str, int]:
    """What was learnt from, chosen by and judged by: steps and episodes instead of rows, of all seeds together."""
    return {
        "training_steps": int(evidence.training["lived"]),
        "development_episodes": config.num_seeds * config.evaluation.num_selection_episodes,
        "test_episodes": config.num_seeds * config.evaluation.num_episodes,
    }


def _ablation(varied: Sequence[Varied]) -> Iterator[dict[str, Any]]:
    """A row of each variant; steps_to_rule: after which the networks did as well as the best rule, None if never."""
    store = default_store()
    for one in varied:
        document, record = store.json(one.judged.document), store.json(one.trained.record)
        curve = document["curve"]
        good = (
            steps for steps, iqm in zip(curve["steps"], curve["iqm"], strict=True) if iqm >= curve["rule"]
        )
        yield {
            "variant": one.variant,
            "return_iqm": document["metrics"]["test/return_iqm"],
            "steps_to_rule": next(good, None),
            "steps_per_second": record["steps_per_second"],
            "seconds": record["seconds"],
        }


def _evidence(
    ingested: Ingested,
    ruled: Ruled,
    trained: Trained,
    judged: Judged,
    shown: Watched,
    explained: Evidence,
    varied: Sequence[Varied],
) -> EvidenceDocuments:
    store = default_store()
    ablation = {"ablation": list(_ablation(varied))} if varied else {}
    return EvidenceDocuments(
        card=ingested.card,
        evaluation=store.json(judged.document) | ablation,
        explanation=store.json(explained.document),
        training=store.json(trained.record),
        curves=store.frame(trained.curves),
        episodes=store.frame(judged.table),
        explained=store.frame(explained.table),
        timeline=pl.concat([store.frame(shown.timeline), store.frame(ruled.timeline)]),
        film=None if shown.film is None else store.local_path(shown.film).read_bytes(),
        notes=ingested.notes,
    )
