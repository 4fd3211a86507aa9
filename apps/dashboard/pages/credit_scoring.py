"""Credit scoring: one applicant with what-if, a file of applicants, fairness at the cut-off."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.banners import part
from apps.dashboard.components.form import what_if
from apps.dashboard.components.kept import kept
from apps.dashboard.components.results import results_table
from apps.dashboard.components.text import markdown_text
from apps.dashboard.components.upload import score_upload
from apps.dashboard.domain import Domain
from apps.dashboard.page import open_page, show_views
from apps.dashboard.published import Model
from apps.dashboard.scoring import Scored, scorer
from apps.dashboard.views.credit import applicant_case, fields
from apps.dashboard.views.fairness import group_audit

if TYPE_CHECKING:
    import polars as pl

    from pipelines.credit_scoring.schema import LenderSchema
    from pipelines.credit_scoring.score import Scorer
    from shared.contracts.contract import Contract

_NUM_EXAMPLES = 200
_EXAMPLE_SEED = 20_260


def _schema(model: Model) -> "LenderSchema":
    from pipelines.credit_scoring.schema import LenderSchema

    return LenderSchema.model_validate(model.bundle.json("features/schema.json"))


def _contract(model: Model) -> "Contract":
    return _schema(model).contract(scoring=True)


def _example(model: Model, folder: Path) -> Path:
    """Fresh applicants of the generator; for a lender's own table, applicants that the model compares with."""
    from pipelines.credit_scoring.generator import generate

    if model.summary.source == "synthetic":
        frame = generate(_NUM_EXAMPLES, _EXAMPLE_SEED).drop("defaulted")
    else:
        frame = model.frame("features/background.parquet").head(_NUM_EXAMPLES)
    path = folder / "example_applications.csv"
    frame.write_csv(path)
    return path


DOMAIN: "Domain[Scorer]" = Domain(
    pipeline="credit_scoring",
    titles={
        "test/roc_auc": "ROC-AUC",
        "test/brier": "Brier score",
        "test/ks": "KS",
        "test/ece": "Calibration error (ECE)",
    },
    baselines={"logistic_regression": "logistic regression", "gradient_boosting": "gradient boosting"},
    example=_example,
    contract=_contract,
)


def main() -> None:
    model = open_page(DOMAIN)
    show_views(
        {
            "One applicant": lambda: _one(model),
            "A file of applicants": lambda: _file(model),
            "Fairness": lambda: _fairness(model),
        }
    )


@part
def _one(model: Model) -> None:
    """An applicant to play with, starting from one that the model compares others with."""
    known = model.frame("features/background.parquet")
    row = st.selectbox(
        "Start from",
        range(known.height),
        format_func=lambda each: f"reference applicant {each + 1} of {known.height}",
        key=DOMAIN.key("start"),
    )
    start, above = known[row : row + 1], st.container()
    with st.expander("What if", expanded=True, icon=":material/tune:"):
        key = DOMAIN.key(f"what-if/{model.version}/{row}")
        values = what_if(fields(_schema(model), known), start.row(0, named=True), key=key)
    applicant_case(
        model,
        scorer(DOMAIN, model),
        _with(start, values),
        name=f"reference applicant {row + 1}",
        key=DOMAIN.key("one"),
        before=start,
        above=above,
    )


def _with(start: "pl.DataFrame", values: Mapping[str, Any]) -> "pl.DataFrame":
    import polars as pl

    return start.with_columns(
        pl.lit(value, dtype=start.schema[name]).alias(name) for name, value in values.items()
    )


def _file(model: Model) -> None:
    scored = score_upload(DOMAIN, model)
    if scored is None:
        return
    decisions = scored.frame()
    st.markdown("##### Decisions")
    st.caption("Choose a row to see why.")
    row = results_table(
        decisions,
        key=DOMAIN.key("results"),
        order=["application_id", "decision", "score_points", "probability_of_default", "reason_1_text"],
        columns={
            "probability_of_default": st.column_config.NumberColumn(
                "probability of default", format="percent"
            ),
            "score_points": st.column_config.NumberColumn("points"),
            "reason_1_text": st.column_config.TextColumn("first reason", width="large"),
        },
        choose=True,
    )
    if row is not None:
        _chosen(model, scored, str(decisions["application_id"][row]))


@part
def _chosen(model: Model, scored: Scored, name: str) -> None:
    """Why one applicant of the file got this decision."""
    import polars as pl

    valid = kept(DOMAIN.key("valid"), scored.output, lambda: _valid(model, scored))
    st.subheader(markdown_text(name), anchor=False)
    applicant = valid.filter(pl.col("application_id") == name)[:1]
    applicant_case(model, scorer(DOMAIN, model), applicant, name=name, key=DOMAIN.key(f"case/{name}"))


def _valid(model: Model, scored: Scored) -> "pl.DataFrame":
    """The rows of the file that keep the contract, in its types."""
    from pipelines.credit_scoring.data import read_to_score
    from shared.contracts.table import check_table

    table = read_to_score(scored.source, _schema(model)).drop("defaulted", strict=False)
    return check_table(table, _contract(model)).valid


def _fairness(model: Model) -> None:
    """The published audit: the test part, at the cut-off that follows from the costs."""
    rule = model.metrics["cut_off"]["rule"]
    st.caption(
        f"Test part, at the cut-off {rule['cut_off']:.1%}. Protected attributes are no inputs of the model; they are "
        "used for this comparison alone. Approved means below the cut-off, whether or not a person looks at it. An "
        "approval rate below four fifths of the highest one counts as adverse impact."
    )
    audits = model.metrics["fairness"]
    if not audits:
        st.text("The table held no protected attribute, so nothing could be compared between groups.")
    for audit in audits:
        group_audit(audit, key=DOMAIN.key(f"fairness/{audit['attribute']}"))


if __name__ == "__main__":
    main()
