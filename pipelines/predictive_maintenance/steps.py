"""The steps of the flows: each takes references and configuration, and returns references."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from pipelines.predictive_maintenance import explain as explanations
from pipelines.predictive_maintenance.audit import audit_division
from pipelines.predictive_maintenance.config import (
    DataConfig,
    FeatureConfig,
    MaintenanceConfig,
    ProtocolConfig,
    TargetConfig,
)
from pipelines.predictive_maintenance.data import load_readings, lost_failures, source_paths
from pipelines.predictive_maintenance.evaluate import evaluation_document, unjudged_document
from pipelines.predictive_maintenance.evidence import EvidenceDocuments, first_summary
from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fitting import can_forecast, fit_alarm, fit_forecaster, fitted_to
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.generator import generate
from pipelines.predictive_maintenance.handles import Divided, Fitted, Ingested, opened
from pipelines.predictive_maintenance.model_card import run_model_card
from pipelines.predictive_maintenance.predictions import forecast_test, member_forecasts
from pipelines.predictive_maintenance.protocol import Division, divide
from pipelines.predictive_maintenance.report import run_report
from pipelines.predictive_maintenance.report_data import fleet_facts
from pipelines.predictive_maintenance.score import PIPELINE, Latest, Scorer
from pipelines.predictive_maintenance.targets import MIN_FAILURES, Scale
from pipelines.predictive_maintenance.train import Trainer, prepare
from pipelines.predictive_maintenance.watched import watched
from shared.contracts.table import check_table
from shared.data.store import Ref, default_store
from shared.errors import RequestError
from shared.monitoring.profile import ReferenceProfile, reference_profile
from shared.orchestration.bundled import stored_bundle
from shared.orchestration.overrides import as_by_default
from shared.orchestration.run import current_run
from shared.orchestration.step import checkpoint_folder, step
from shared.orchestration.stored import Evidence, Source, identified, stored_folder
from shared.publishing.plain import plain
from shared.training.runtime import single_thread

# Settings that only judge or explain what was learnt.
NOT_LEARNT = ("preset", "evaluation", "explanation")


def identify(source: str, config: DataConfig) -> Source:
    """The source with the digest of all its files."""
    return identified(source, source_paths(source, config))


@step(retries=2)
def ingest(source: Source, config: DataConfig, seed: int) -> Ingested:
    """Read the source and hold every row against the fleet's contract; broken rows go to quarantine."""
    readings = load_readings(source.name, config, seed)
    checked = check_table(readings.frame, readings.schema.contract())
    valid = checked.require()
    fleet = Fleet.of(valid, readings.schema, readings.given_rul)
    return Ingested.of(
        source,
        checked,
        valid,
        (*readings.notes, *fleet.notes),
        fleet_schema=readings.schema,
        given_rul=dict(readings.given_rul),
        warnings=lost_failures(checked.quarantined),
    )


@step()
def split(
    ingested: Ingested, protocol: ProtocolConfig, features: FeatureConfig, target: TargetConfig, seed: int
) -> Divided:
    """Whole machines into folds and test; what is fitted before the networks; then look for leaks in both."""
    store, fleet = default_store(), ingested.fleet()
    division = divide(fleet, protocol.test_share, protocol.num_folds, seed)
    train = fleet.of_units(division.train)
    scale = Scale.of(train, target, ingested.fleet_schema.usual_cap)
    forecasts = can_forecast(fleet, division)
    learnt_from = fitted_to(division, forecasts=forecasts)
    preparation = prepare(fleet.of_units(learnt_from), features, seed)
    _require_cap_above_step(scale, preparation, fleet.time_unit)
    audit = audit_division(fleet, division, preparation, learnt_from, seed).require()
    fold = np.full(fleet.num_units, -1)
    for number, units in enumerate(division.folds):
        fold[units] = number
    return Divided(
        folds=store.put_frame(pl.DataFrame({"unit_id": fleet.unit_names, "fold": fold})),
        is_given=division.is_given,
        preparation=store.put_json(preparation.to_json()),
        forecasts=forecasts,
        cap=scale.cap,
        horizon=scale.horizon,
        method=_method(division),
        audit=audit.to_json(),
        notes=(*preparation.notes(), *_notes(train, features, preparation, forecasts)),
    )


def _require_cap_above_step(scale: Scale, preparation: Preparation, time_unit: str) -> None:
    if scale.cap <= preparation.step:
        raise RequestError(
            f"Expected target.rul_cap above the time between two readings, {preparation.step:g} {time_unit}. "
            f"Received {scale.cap:g}."
        )


def _method(division: Division) -> str:
    origin = "the table says which" if division.is_given else "drawn by the hash of their name"
    return (
        f"Whole machines: {len(division.train)} train in {len(division.folds)} folds, {len(division.test)} test "
        f"({origin})"
    )


def _notes(train: Fleet, features: FeatureConfig, preparation: Preparation, forecasts: bool) -> Iterator[str]:
    if not forecasts:
        yield (
            f"{int(train.lives.failed.sum())} failures among the training machines are too few to learn remaining life "
            f"from, {MIN_FAILURES} must be left whichever fold is taken out: an autoencoder is served with an alarm."
        )
    spans = train.time[train.offsets[1:] - 1] - train.time[train.offsets[:-1]]
    longest = int(spans.max() / preparation.step) + 1
    if features.window_length > longest:
        yield (
            f"Windows of {features.window_length} readings are longer than every life, at most {longest}: the first "
            "reading is repeated in front. Choose shorter ones with features.window_length."
        )


def learnt(config: MaintenanceConfig) -> MaintenanceConfig:
    """What training looks at; all else is as by default, so that changing it does not train again."""
    return as_by_default(config, NOT_LEARNT)


@step()
def train(ingested: Ingested, divided: Divided, config: MaintenanceConfig) -> Fitted:
    """Fit networks, and on machines that they have not seen what makes their forecasts honest."""
    store, run = default_store(), current_run()
    preparation = Preparation.from_json(store.json(divided.preparation))
    fit = fit_forecaster if divided.forecasts else fit_alarm
    trainer = Trainer(config, divided.scale, checkpoint_folder(), run.bar())
    # threads of networks as small as these wait for each other longer than they work
    with single_thread():
        found = fit(ingested.fleet(), divided.division(), preparation, ingested.fleet_schema, trainer)
    return Fitted(
        scorer=stored_folder(found.scorer.save),
        record=store.put_json(plain(found.record)),
        out_of_fold=None if found.out_of_fold is None else store.put_frame(found.out_of_fold),
    )


@step()
def evaluate(ingested: Ingested, divided: Divided, fitted: Fitted, config: MaintenanceConfig) -> Evidence:
    """Every model forecasts the test machines, once."""
    store, fleet, division = default_store(), ingested.fleet(), divided.division()
    with opened(fitted.scorer, config) as scorer:
        train, test = fleet.of_units(division.train), fleet.of_units(division.test)
        table = forecast_test(scorer, train, test)
        if scorer.forecaster is None or fitted.out_of_fold is None:
            document = unjudged_document(table, divided.scale, config)
        else:
            unseen, calibrated = store.frame(fitted.out_of_fold), scorer.forecaster.calibrated
            members = member_forecasts(scorer, test, table)
            document = evaluation_document(table, members, unseen, calibrated, config)
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def explain(
    ingested: Ingested, divided: Divided, fitted: Fitted, evaluated: Evidence, config: MaintenanceConfig
) -> Evidence:
    """Explain forecasts of test machines, and check the explanations; on the generator against the truth."""
    store = default_store()
    test = ingested.fleet().of_units(divided.division().test)
    truth = None
    if ingested.source.generated:
        data = config.data
        truth = generate(data.num_units, data.num_sensors, data.num_regimes, data.max_life, config.seed).truth
    with opened(fitted.scorer, config) as scorer:
        document, contributions = explanations.explain_test(
            scorer.explainer(), test, scorer.preparation, store.frame(evaluated.table), config, truth
        )
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(contributions))


@step()
def assemble(
    ingested: Ingested,
    divided: Divided,
    fitted: Fitted,
    evaluated: Evidence,
    explained: Evidence,
    config: MaintenanceConfig,
) -> Ref:
    """Write report, model card and bundle."""
    fleet, division = ingested.fleet(), divided.division()
    with opened(fitted.scorer, config) as scorer:
        evidence = _evidence(ingested, divided, fitted, evaluated, explained, scorer, fleet)
        rows = {
            "train": fleet.of_units(division.train).num_rows,
            "test": fleet.of_units(division.test).num_rows,
        }
        summary = first_summary(
            ingested.source.name, ingested.contract, ingested.counts() | rows, evidence, config
        )
        profile = _profile(scorer, fleet.of_units(division.test), evidence)
        return stored_bundle(
            ingested.facts(PIPELINE, preset=config.preset, seed=config.seed),
            summary,
            profile,
            config=config,
            metrics={**evidence.evaluation, "explanation": evidence.explanation},
            tensors=scorer.tensors(),
            features=scorer.save_features,
            model_card=run_model_card(scorer, summary, evidence),
            report_html=run_report(config, summary, evidence),
        )


def _evidence(
    ingested: Ingested,
    divided: Divided,
    fitted: Fitted,
    evaluated: Evidence,
    explained: Evidence,
    scorer: Scorer,
    fleet: Fleet,
) -> EvidenceDocuments:
    store = default_store()
    return EvidenceDocuments(
        evaluation=store.json(evaluated.document),
        explanation=store.json(explained.document),
        training=store.json(fitted.record),
        fleet=plain(fleet_facts(fleet, scorer.preparation)),
        forecasts=store.frame(evaluated.table),
        contributions=store.frame(explained.table),
        quarantine=ingested.quarantined_rows(),
        notes=(*ingested.notes, *divided.notes),
        warnings=ingested.warnings,
        split=divided.method,
        audit=divided.audit,
    )


def _profile(scorer: Scorer, test: Fleet, evidence: EvidenceDocuments) -> ReferenceProfile:
    """What later batches are compared with: each test machine at the moment at which it is forecast."""
    table = evidence.forecasts
    rows = table.select(pl.col("is_last").arg_true()).to_series().to_numpy().astype(np.int64)
    latest = Latest(scorer.seen(test), rows, table[rows.tolist()])
    return reference_profile(*watched(scorer, latest))
