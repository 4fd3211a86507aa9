"""The steps of the flows: each takes references and configuration, and returns references.

What a step reads and writes lies in the content-addressed store, so an equal step is never computed twice and a
crashed run continues where it stopped.
"""

import polars as pl

from pipelines.credit_scoring import evaluate as protocol
from pipelines.credit_scoring import explain as explanations
from pipelines.credit_scoring.config import CreditConfig, DataConfig
from pipelines.credit_scoring.data import load_applications, source_path
from pipelines.credit_scoring.evidence import EvidenceDocuments, first_summary
from pipelines.credit_scoring.handles import Divided, Fitted, Ingested, opened
from pipelines.credit_scoring.model_card import run_model_card
from pipelines.credit_scoring.report import run_report
from pipelines.credit_scoring.schema import LenderSchema
from pipelines.credit_scoring.score import PIPELINE, Scorer
from pipelines.credit_scoring.train import outcomes, predict_log_odds, train_network
from shared.contracts.table import check_table
from shared.data.audit import audit_split
from shared.data.splits import Split, row_keys, split_by_hash, split_by_time, split_stratified_by_hash
from shared.data.store import Ref, default_store
from shared.errors import RequestError
from shared.evaluation.choose_calibration import choose_calibration
from shared.monitoring.profile import reference_profile
from shared.orchestration.bundled import stored_bundle
from shared.orchestration.overrides import as_by_default
from shared.orchestration.run import current_run
from shared.orchestration.step import checkpoint_folder, step
from shared.orchestration.stored import Evidence, Source, identified, stored_folder
from shared.orchestration.together import together
from shared.publishing.plain import plain

MIN_ROWS = 100

# Settings that only judge or explain what was learnt.
NOT_LEARNT = (
    "preset",
    "evaluation",
    "explanation.num_checked",
    "explanation.num_reasons",
    "explanation.min_reason_log_odds",
    "explanation.stability_seeds",
    "explanation.num_recourse",
)


def identify(source: str, config: DataConfig) -> Source:
    """The source with the digest of what it would give."""
    path = source_path(source)
    return identified(source, [path] if path else [])


@step(retries=2)
def ingest(source: Source, config: DataConfig, seed: int) -> Ingested:
    """Read the source and hold every row against the contract; broken rows go to quarantine."""
    applications = load_applications(source.name, config, seed)
    frame = applications.frame
    if "defaulted" not in frame.columns:
        raise RequestError(
            f"Expected an outcome column for training. Received {', '.join(frame.columns[:12])}, ...\n"
            "Name it with --set data.columns=[defaulted=YOUR_COLUMN] or a YAML file."
        )
    checked = check_table(frame, applications.schema.contract())
    valid = checked.require().filter(pl.col("defaulted").is_not_null())
    _require_both_classes(valid)
    notes = [*applications.notes]
    unknown = len(frame) - len(valid) - checked.quarantined.height
    if unknown:
        notes.append(f"{unknown} rows without an outcome were left out of training and testing.")
    return Ingested.of(source, checked, valid, notes, lender=applications.schema)


def _require_both_classes(frame: pl.DataFrame) -> None:
    if not len(frame):
        raise RequestError(
            "Expected applications with an outcome. Received none: `defaulted` is empty in every row."
        )
    bad = int(outcomes(frame).sum())
    if len(frame) < MIN_ROWS or min(bad, len(frame) - bad) < 10:
        raise RequestError(
            f"Expected at least {MIN_ROWS} applications with at least 10 defaults and 10 repaid. "
            f"Received {len(frame)} rows with {bad} defaults: too few to train and test on."
        )


@step()
def split(ingested: Ingested, config: DataConfig, stratify_below_rows: int) -> Divided:
    """Divide by time where there are dates, else by content; then look for leaks between the parts."""
    store = default_store()
    frame = store.frame(ingested.table)
    division, method = _divide(frame, ingested.lender, config, stratify_below_rows)
    # Dates part an applicant's earlier from later applications, and with dates or applicants deciding, others may
    # well have equal features: both are as in use, so the audit reports them and lets them pass.
    expected = {"application_date": ("duplicate_rows", "group_overlap"), "group_id": ("duplicate_rows",)}
    accepted = next((checks for column, checks in expected.items() if column in frame.columns), ())
    audit = audit_split(
        frame,
        division,
        features=ingested.lender.feature_names,
        target="defaulted",
        group="group_id" if "group_id" in frame.columns else None,
        time="application_date" if "application_date" in frame.columns else None,
    ).require(accepted=accepted)
    refs = {name: store.put_frame(frame[rows]) for name, rows in division.parts().items()}
    return Divided(**refs, method=method, audit=audit.to_json())


def _divide(
    frame: pl.DataFrame, lender: LenderSchema, config: DataConfig, stratify_below_rows: int
) -> tuple[Split, str]:
    if "application_date" in frame.columns:
        return split_by_time(frame["application_date"], config.fractions), "by date, oldest first"
    keys, unit = row_keys(frame, lender.feature_names), "applications with equal features stay together"
    if "group_id" in frame.columns:
        alone = pl.concat_str(pl.lit("row "), pl.col("application_id"))
        keys = frame.select(pl.coalesce(pl.col("group_id"), alone)).to_series()
        unit = "all applications of one applicant stay together"
    if len(frame) < stratify_below_rows:
        return split_stratified_by_hash(keys, frame["defaulted"], config.fractions), f"stratified; {unit}"
    return split_by_hash(keys, config.fractions), f"by hash, stable when the table grows; {unit}"


def learnt(config: CreditConfig) -> CreditConfig:
    """What training looks at; all else is as by default, so that changing it does not train again."""
    return as_by_default(config, NOT_LEARNT)


@step()
@together
def train(ingested: Ingested, divided: Divided, config: CreditConfig) -> Fitted:
    """Fit features and network on training, epoch and calibration on validation."""
    store = default_store()
    training, validation = store.frame(divided.train), store.frame(divided.validation)
    features, result = train_network(
        training,
        validation,
        ingested.lender,
        config,
        seed=config.seed,
        checkpoint_dir=checkpoint_folder(),
        progress=current_run().bar(),
    )
    raw = predict_log_odds(result.model, features.transform(validation))  # type: ignore[arg-type]
    # Isotonic steps would break the identity between log-odds, reasons and points; the affine maps keep it.
    choice = choose_calibration(raw, outcomes(validation), candidates=("none", "temperature", "platt"))
    scorer = Scorer(
        schema=ingested.lender,
        config=config,
        features=features,
        network=result.model,  # type: ignore[arg-type]
        calibration=choice.calibration,
        background=training[:0],
    )
    reference = explanations.reference_rows(
        training, scorer.probability(training), config, scorer.rule.cut_off
    )
    scorer = scorer.with_background(reference.select(ingested.lender.feature_names))
    return Fitted(
        scorer=stored_folder(scorer.save), training=result.to_json(), calibration_reason=choice.reason
    )


@step()
def evaluate(ingested: Ingested, divided: Divided, fitted: Fitted, config: CreditConfig) -> Evidence:
    """Score the test part once, with the baselines on the same rows and repeated splits for small tables."""
    store = default_store()
    training, validation, test = (
        store.frame(ref) for ref in (divided.train, divided.validation, divided.test)
    )
    with opened(fitted.scorer, config) as scorer:
        predictions = protocol.predict_test(scorer, pl.concat([training, validation]), test, config)
        repeated = protocol.repeat_splits(store.frame(ingested.table), ingested.lender, config)
        document = protocol.evaluation_document(scorer, validation, test, predictions, repeated, config)
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(predictions))


@step()
def explain(ingested: Ingested, divided: Divided, fitted: Fitted, config: CreditConfig) -> Evidence:
    """Explain test applicants, check the explanations, measure the stability of reasons, search recourse."""
    store = default_store()
    training, validation, test = (
        store.frame(ref) for ref in (divided.train, divided.validation, divided.test)
    )
    rows = test[: config.explanation.num_checked]
    with opened(fitted.scorer, config) as scorer:
        attribution = explanations.checked_explanation(scorer, rows, seed=config.seed)
        document = {
            "attribution": attribution.to_json(),
            "shapley": explanations.shapley_agreement(scorer, rows, seed=config.seed),
            "truth": explanations.truth_agreement(scorer, rows, seed=config.seed)
            if ingested.source.generated
            else None,
            "stability": explanations.reason_stability(scorer, training, validation, test, config),
            "recourse": explanations.recourse_summary(
                scorer, test, config, truth_is_known=ingested.source.generated
            ),
            "examples": explanations.example_rows(scorer.probability(rows), scorer.rule.cut_off),
        }
    columns = {name: attribution.values[:, i] for i, name in enumerate(attribution.names)}
    table = pl.DataFrame({"application_id": rows["application_id"], **columns})
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def assemble(
    ingested: Ingested,
    divided: Divided,
    fitted: Fitted,
    evaluated: Evidence,
    explained: Evidence,
    config: CreditConfig,
) -> Ref:
    """Write report, model card and bundle."""
    store = default_store()
    training, test = store.frame(divided.train), store.frame(divided.test)
    with opened(fitted.scorer, config) as scorer:
        evidence = EvidenceDocuments(
            evaluation=store.json(evaluated.document),
            explanation=store.json(explained.document),
            predictions=store.frame(evaluated.table),
            contributions=store.frame(explained.table),
            training=fitted.training,
            calibration_reason=fitted.calibration_reason,
            quarantine=ingested.quarantined_rows(),
            notes=ingested.notes,
            split=divided.method,
            audit=divided.audit,
        )
        summary = first_summary(
            ingested.source.name, ingested.contract, _rows(ingested, divided), evidence, config
        )
        profile = reference_profile(
            training.select(ingested.lender.feature_names), scorer.probability(training)
        )
        return stored_bundle(
            ingested.facts(PIPELINE, preset=config.preset, seed=config.seed),
            summary,
            profile,
            config=config,
            metrics={**evidence.evaluation, "explanation": evidence.explanation},
            tensors=dict(scorer.network.state_dict()),
            features=scorer.save_features,
            model_card=run_model_card(scorer, summary, evidence),
            report_html=run_report(scorer, summary, evidence, test),
        )


def _rows(ingested: Ingested, divided: Divided) -> dict[str, int]:
    sizes = {name: getattr(divided, name).rows or 0 for name in ("train", "validation", "test")}
    return ingested.counts() | sizes
