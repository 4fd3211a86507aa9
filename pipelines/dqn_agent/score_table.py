"""Situations in, decisions out; or a card in, episodes out: what `fieldwork score`, schedules and the API run."""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.dqn_agent.cards import CONTRACT, Card, episodes_contract, read_card
from pipelines.dqn_agent.environments.rules import fit_rules
from pipelines.dqn_agent.explainer import reasons
from pipelines.dqn_agent.ingest import is_card
from pipelines.dqn_agent.play import play
from pipelines.dqn_agent.playing import NETWORK, require_registered, seen_by
from pipelines.dqn_agent.schema import CASE, decisions_contract, observations_contract
from pipelines.dqn_agent.score import PIPELINE, Scorer
from pipelines.dqn_agent.seeds import Purpose, seed_of
from pipelines.dqn_agent.visited import Recorder
from pipelines.dqn_agent.watched import watched
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.data.identifiers import ids_as_text
from shared.data.tables import read_table, write_table
from shared.errors import RequestError
from shared.orchestration.scoring import (
    ScoreSummary,
    beside,
    drift_since,
    published,
    require_input_untouched,
    written,
)
from shared.publishing.bundle import Bundle


def score_table(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    """Decisions for a table of situations, or episodes for an environment card (YAML or JSON).

    Rows of a table that break the contract go to `<output>.quarantine.parquet`; with `explain`, every decision gets its
    reasons. Episodes are played by the policy and by the rules in the same worlds, which no training has seen. Raises
    RequestError when the input breaks its contract or is of another environment, when there is no such model, or when
    one of these files would be written over the input.
    """
    quarantine = beside(output_path, "quarantine")
    require_input_untouched(input_path, output_path, quarantine)
    bundle, number = published(PIPELINE, version)
    scorer = Scorer.from_bundle(bundle, number)
    if is_card(input_path):
        return _play(scorer, bundle, input_path, output_path)
    return _decide(scorer, bundle, input_path, output_path, explain=explain)


def read_situations(path: Path, card: Card) -> pl.DataFrame:
    """A table to decide on, with its case ids or numbers in their place; not checked yet. Raises RequestError."""
    if card.image is not None:
        raise RequestError(
            f"{card.id}: Expected an environment card, since this agent sees images. Received {path.name}. "
            "Score the card of its environment, to have it play."
        )
    frame = read_table(path)
    if CASE in frame.columns:
        return frame.with_columns(ids_as_text(frame[CASE]))
    numbers = pl.Series(CASE, [str(number) for number in range(1, frame.height + 1)])
    return frame.insert_column(0, numbers)


def _decide(
    scorer: Scorer, bundle: Bundle, input_path: Path, output_path: Path, *, explain: bool
) -> ScoreSummary:
    contract = observations_contract(scorer.card)
    checked = check_table(read_situations(input_path, scorer.card), contract)
    valid = checked.require()
    observations = scorer.observations(valid)
    decided = scorer.decide(valid)
    if explain:
        decided = decided.with_columns(reasons(scorer, observations))
    decisions = check_table(decided, decisions_contract(scorer.card)).require()
    write_table(decisions, output_path)
    return ScoreSummary(
        pipeline=PIPELINE,
        version=scorer.version,
        contract=contract.id_version,
        rows={
            "in": checked.num_rows,
            "quarantined": checked.quarantined.height,
            "scored": decisions.height,
            "outside": int(decisions["outside"].sum()),
        },
        output=str(output_path),
        quarantine=written(checked.quarantined, beside(output_path, "quarantine")),
        explanations=None,
        drift=drift_since(bundle, *watched(scorer, observations)),
    )


def _play(scorer: Scorer, bundle: Bundle, input_path: Path, output_path: Path) -> ScoreSummary:
    given, contract = read_card(input_path), load(CONTRACT)
    check_table(given.to_frame(), contract).require()
    _require_same(given, scorer.card)
    recorder, num_episodes = Recorder(scorer.card), scorer.config.evaluation.num_episodes
    played = episodes(scorer, recorder).with_columns(scorer.stamps(contract.id_version))
    found = check_table(played, episodes_contract(scorer.card.cost_terms)).require()
    write_table(found, output_path)
    return ScoreSummary(
        pipeline=PIPELINE,
        version=scorer.version,
        contract=contract.id_version,
        rows={"in": 1, "quarantined": 0, "episodes": found.height, "policies": found["policy"].n_unique()},
        output=str(output_path),
        quarantine=None,
        explanations=None,
        drift=drift_since(bundle, *watched(scorer, apart(recorder.visited().states, num_episodes))),
    )


def apart(states: np.ndarray, num_episodes: int) -> np.ndarray:
    """As many states as there are episodes, far apart in time: those of one episode are no evidence of their own."""
    places = np.linspace(0, len(states) - 1, min(num_episodes, len(states))).round().astype(np.int64)
    return np.asarray(states[places])


def episodes(scorer: Scorer, recorder: Recorder) -> pl.DataFrame:
    """Episodes of the policy and of the rules beside it, in the same worlds, in the columns of `agent_episodes`
    without stamps.

    No module is imported, whatever the bundle names: whose code may run is said by whoever starts a run. Raises
    RequestError for an environment that only such a module registers.
    """
    config, card = scorer.config, scorer.card
    require_registered(card, config.environment)
    seed, num_episodes = seed_of(config.seed, Purpose.SCORING), config.evaluation.num_episodes
    acts = {NETWORK: seen_by(recorder, scorer.act)}
    fitted = fit_rules(card.id, config.environment, seed_of(config.seed, Purpose.RULES))
    acts |= {rule.name: rule.act for rule in fitted}
    return pl.concat(
        play(act, card, config.environment, num_episodes, seed).to_frame(name, card)
        for name, act in acts.items()
    )


def _require_same(given: Card, card: Card) -> None:
    """Bounds and units may differ: they do not decide what the policy sees."""
    for field, received, expected in (
        ("id", given.id, card.id),
        ("observation", _names(given), _names(card)),
        ("image", given.image, card.image),
        ("actions", given.actions, card.actions),
        ("horizon", given.horizon, card.horizon),
        ("cost_terms", given.cost_terms, card.cost_terms),
    ):
        if received != expected:
            raise RequestError(
                f"{field}: Expected the card that the model was trained with, {expected}. Received {received}. "
                f"To train in another environment: fieldwork run {PIPELINE} --data CARD"
            )


def _names(card: Card) -> tuple[str, ...]:
    return tuple(feature.name for feature in card.observation)
