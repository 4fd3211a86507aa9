"""The steps of the flows: each takes references and configuration, and returns references."""

import time
from functools import partial
from typing import Any

import polars as pl

from pipelines.recommender import evaluate as protocol
from pipelines.recommender import explain as explanations
from pipelines.recommender import rankers
from pipelines.recommender.config import DataConfig, ProtocolConfig, RecommenderConfig
from pipelines.recommender.data import load_tables, source_paths
from pipelines.recommender.evidence import EvidenceDocuments, first_summary
from pipelines.recommender.features import Catalogue
from pipelines.recommender.handles import Divided, Fitted, Ingested, before_test, catalogue_of, opened
from pipelines.recommender.model_card import run_model_card
from pipelines.recommender.prepare import prepare
from pipelines.recommender.protocol import audit_division, divide
from pipelines.recommender.ranker import Ranker
from pipelines.recommender.report import run_report
from pipelines.recommender.score import INPUT_CONTRACT, PIPELINE
from pipelines.recommender.train import Judge, Trainer
from pipelines.recommender.truth import likeness, oracle
from pipelines.recommender.watched import watched
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.data.store import Ref, default_store
from shared.errors import RequestError
from shared.monitoring.profile import reference_profile
from shared.orchestration.bundled import stored_bundle
from shared.orchestration.overrides import as_by_default
from shared.orchestration.run import current_run
from shared.orchestration.step import checkpoint_folder, step
from shared.orchestration.stored import Evidence, Source, identified, restored, stored_folder
from shared.publishing.plain import plain

_PROFILE_USERS = 2000  # whose lists are the reference for drift

# Settings that only judge or explain what was learnt.
NOT_LEARNT = (
    "preset",
    "evaluation.num_bootstraps",
    "evaluation.num_sampled_negatives",
    "evaluation.tail_share",
    "explanation.num_checked",
    "explanation.num_reasons",
    "serving.top_n",
)


def identify(source: str, config: DataConfig) -> Source:
    """The source with the digest of all its files."""
    return identified(source, source_paths(source, config))


@step(retries=2)
def ingest(source: Source, config: DataConfig, seed: int) -> Ingested:
    """Read the source, hold every row against its contract, keep the interactions that count."""
    tables = load_tables(source.name, config, seed)
    checked = check_table(tables.interactions, load(INPUT_CONTRACT))
    prepared = prepare(checked.require(), config)
    return Ingested.of(
        source,
        checked,
        prepared.frame,
        (*tables.notes, *prepared.notes),
        items=_attributes(tables.items, "item_attributes"),
        users=_attributes(tables.users, "user_attributes"),
    )


def _attributes(table: pl.DataFrame | None, contract: str) -> Ref | None:
    return None if table is None else default_store().put_frame(check_table(table, load(contract)).require())


@step()
def split(ingested: Ingested, config: ProtocolConfig, seed: int) -> Divided:
    """Divide by time where there is time, and look for leaks between the parts."""
    store = default_store()
    division = divide(store.frame(ingested.table), config, seed)
    audit = audit_division(division).require()
    refs = {name: store.put_frame(part) for name, part in division.parts().items()}
    return Divided(**refs, method=division.method, audit=audit.to_json())


def learnt(config: RecommenderConfig) -> RecommenderConfig:
    """What training looks at; all else is as by default, so that changing it does not train again."""
    return as_by_default(config, NOT_LEARNT)


@step()
def train(ingested: Ingested, divided: Divided, config: RecommenderConfig) -> Fitted:
    """Choose every model's knobs on validation, then fit it again on all that came before the test part."""
    store, run = default_store(), current_run()
    catalogue = catalogue_of(ingested, divided)
    if reason := protocol.not_trained(catalogue, config).get(config.serving.model):
        raise RequestError(
            f"Expected a serving.model that can be trained here. Received {config.serving.model}: {reason}."
        )
    training, validation = (
        catalogue.histories(store.frame(ref)) for ref in (divided.train, divided.validation)
    )
    everything = training.union(validation)
    judge = Judge.of(
        training,
        validation,
        max_users=config.evaluation.validation_users,
        memory_mb=config.evaluation.memory_mb,
        seed=config.seed,
    )
    trainer = Trainer(config, catalogue, checkpoint_folder(), run.bar())
    selection: dict[str, dict[str, Any]] = {}
    models: dict[str, Ref] = {}
    selected: dict[str, Ranker] = {}
    final: dict[str, Ranker] = {}
    for kind in wanted_kinds(catalogue, config):
        started = time.perf_counter()
        chosen = trainer.select(kind, training, judge, selected)
        # a network that is pre-trained starts, in each stage, from networks of that stage: those of the last one
        # have seen the validation part
        selected[kind] = chosen.ranker
        final[kind] = trainer.final(kind, everything, chosen.best, final)
        selection[kind] = {
            "best": chosen.best.to_json(),
            "trials": [trial.to_json() for trial in chosen.trials],
            "training": dict(chosen.training),
            "seconds": time.perf_counter() - started,
        }
        models[kind] = stored_folder(partial(rankers.save, kind, final[kind]))
        run.say(f"    {rankers.TITLES[kind]:<28} validation NDCG@20 {chosen.best.ndcg:.4f}")
    asked = config.serving.model
    served = protocol.best_of(list(models), selection) if asked == "auto" else asked
    return Fitted(models=models, selection=store.put_json(plain(selection)), served=served)


def wanted_kinds(catalogue: Catalogue, config: RecommenderConfig) -> list[str]:
    """The kinds to train, in the order in which they build on each other."""
    wanted = {"popularity", *config.models}
    if config.serving.model != "auto":
        wanted.add(config.serving.model)
    if "neumf" in wanted:
        wanted |= {"gmf", "mlp"}
    if not catalogue.has_attributes:
        wanted.discard("hybrid")
    if catalogue.num_warm > config.linear.ease_max_items:
        wanted.discard("ease")
    return [kind for kind in rankers.TITLES if kind in wanted]


@step()
def evaluate(ingested: Ingested, divided: Divided, fitted: Fitted, config: RecommenderConfig) -> Evidence:
    """Every model ranks the whole catalogue for every test user, once."""
    store, catalogue = default_store(), catalogue_of(ingested, divided)
    test = store.frame(divided.test)
    part = protocol.TestPart.of(catalogue, before_test(divided), test, config)
    tested = {}
    for kind, ref in fitted.models.items():
        with restored(ref) as folder:
            ranker = rankers.load(folder)[1]
        tested[kind] = protocol.run_test(ranker, part, config)
        if kind == fitted.served:
            fold_in = protocol.fold_in_loss(ranker, part, config)
    table = protocol.user_table(tested, part, catalogue)
    document = protocol.evaluation_document(
        tested, table, part, store.json(fitted.selection), fitted.served, config
    )
    document["fold_in"] = fold_in
    document["not_trained"] = protocol.not_trained(catalogue, config)
    if ingested.source.generated:
        best = protocol.run_test(oracle(catalogue, test, config.data, config.seed), part, config)
        document["truth"] = protocol.mean_metrics(best, config)
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def explain(ingested: Ingested, divided: Divided, fitted: Fitted, config: RecommenderConfig) -> Evidence:
    """Explain the first recommendation of test users, check it by removal, show what would change."""
    store = default_store()
    test = store.frame(divided.test)
    users = (
        test.select("user_id").unique().sort("user_id").sample(fraction=1.0, shuffle=True, seed=config.seed)
    )
    before = before_test(divided).filter(
        pl.col("user_id").is_in(users["user_id"][: config.explanation.num_checked].implode())
    )
    with opened(ingested, divided, fitted, config) as scorer:
        explained = explanations.checked_explanation(scorer, scorer.audience(before), seed=config.seed)
        changes = explanations.counterfactuals(scorer, explained)
        document = {
            "attribution": explained.attribution.to_json() | {"importance": None},
            "examples": explanations.examples(scorer, explained),
            "counterfactuals": explanations.counterfactual_summary(changes),
            "truth": explanations.truth_agreement(
                explained, likeness(scorer.catalogue, config.data, config.seed)
            )
            if ingested.source.generated
            else None,
        }
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(pl.DataFrame(changes)))


@step()
def assemble(
    ingested: Ingested,
    divided: Divided,
    fitted: Fitted,
    evaluated: Evidence,
    explained: Evidence,
    config: RecommenderConfig,
) -> Ref:
    """Write report, model card and bundle."""
    store = default_store()
    with opened(ingested, divided, fitted, config) as scorer:
        evidence = EvidenceDocuments(
            evaluation=store.json(evaluated.document),
            explanation=store.json(explained.document),
            selection=store.json(fitted.selection),
            users=store.frame(evaluated.table),
            quarantine=ingested.quarantined_rows(),
            notes=ingested.notes,
            split=divided.method,
            audit=divided.audit,
        )
        summary = first_summary(
            ingested.source.name, ingested.contract, _rows(ingested, divided), evidence, config
        )
        # with their tested interactions, as the tables have them that will be served
        users = evidence.users["user_id"].head(_PROFILE_USERS)
        everything = pl.concat([before_test(divided), store.frame(divided.test)])
        served = everything.filter(pl.col("user_id").is_in(users.implode()))
        profile = reference_profile(*watched(scorer, scorer.audience(served), scorer.score(served)))
        return stored_bundle(
            ingested.facts(PIPELINE, preset=config.preset, seed=config.seed),
            summary,
            profile,
            config=config,
            metrics={**evidence.evaluation, "explanation": evidence.explanation},
            tensors=scorer.ranker.tensors(),
            features=scorer.save_features,
            model_card=run_model_card(scorer, summary, evidence),
            report_html=run_report(scorer, summary, evidence),
        )


def _rows(ingested: Ingested, divided: Divided) -> dict[str, int]:
    sizes = {name: getattr(divided, name).rows or 0 for name in ("train", "validation", "test")}
    return ingested.counts() | sizes
