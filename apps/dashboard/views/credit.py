"""One applicant: decision, points from a usual applicant to this one, reasons, what would have to change, letter."""

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from apps.dashboard.components.attribution import Part, reasons_list, waterfall_chart
from apps.dashboard.components.banners import banner
from apps.dashboard.components.cards import value_cards
from apps.dashboard.components.form import ChoiceField, Field, NumberField
from apps.dashboard.published import Model
from shared.publishing.blocks import Kind, show

if TYPE_CHECKING:
    import polars as pl

    from pipelines.credit_scoring.schema import LenderSchema
    from pipelines.credit_scoring.score import Scorer

_KINDS: dict[str, Kind] = {"approve": "good", "review": "warning", "decline": "bad"}
_WORDS = {
    "approve": "Approve.",
    "review": "Close to the cut-off: a person should look at this application.",
    "decline": "Decline.",
}


def fields(schema: "LenderSchema", known: "pl.DataFrame") -> list[Field]:
    """A control for each feature, over what the reference applicants have."""
    numbers = [_number_field(column, known[column.name]) for column in schema.numeric]
    return [
        *sorted(numbers, key=lambda number: bool(number.states)),
        *(
            ChoiceField(
                column.name,
                column.title,
                {level: level for level in sorted(known[column.name].drop_nulls().unique())}
                | dict(column.levels)
                | {None: "not stated"},
            )
            for column in schema.categorical
        ),
    ]


def _number_field(column: Any, values: "pl.Series") -> NumberField:
    """Special codes and missing values are states of their own, beside the range of the amounts."""
    stated = values.drop_nulls()
    amounts = stated.filter(~stated.is_in(list(column.special_codes))).to_numpy().astype(float)
    states: dict[float | None, str] = dict(column.special_codes)
    if len(stated) < len(values):
        states[None] = "not stated"
    low, high = (float(amounts.min()), float(amounts.max())) if len(amounts) else (0.0, 1.0)
    whole = bool((amounts == amounts.round()).all())
    return NumberField(column.name, column.title, low, high, column.unit, whole, states)


def applicant_case(
    model: Model,
    lender: "Scorer",
    applicant: "pl.DataFrame",
    *,
    name: str,
    key: str,
    before: "pl.DataFrame | None" = None,
    above: Any = None,
) -> None:
    """Everything about the one row of `applicant`; `before` is what it is compared with when it was played with.

    The decision is drawn into the container `above`, where it is given: above the controls that change it.
    """
    probability = lender.probability(applicant)
    decision = str(lender.rule.decide(probability)[0])
    points = float(lender.rule.points(probability)[0])
    with above or st.container():
        banner(_KINDS[decision], _WORDS[decision])
        value_cards(
            {
                "Score": (show(points, 0), "points"),
                "Probability of default": (f"{probability[0]:.1%}", ""),
                "Cut-off": (f"{lender.rule.cut_off:.1%}", f"± {lender.rule.review_band:.0%} to a person"),
            },
            [""] if before is None else [_against(lender, before, points)],
        )
    attribution = lender.explain(applicant)
    owed = decision != "approve"
    reasons = lender.reasons(applicant, attribution)[0] if owed else []
    _waterfall(model, lender, applicant, points, key, attribution)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("##### Reasons")
        reasons_list([reason.text for reason in reasons])
        if not owed:
            st.text("Approved: no adverse reasons are owed.")
        _recourse(lender, applicant, decision, key)
    with right:
        _letter(name, decision, reasons, key)


def _against(lender: "Scorer", before: "pl.DataFrame", points: float) -> str:
    change = points - float(lender.rule.points(lender.probability(before))[0])
    return f"{change:+.0f} points against the start" if abs(change) >= 0.5 else "as at the start"


def _waterfall(
    model: Model, lender: "Scorer", applicant: "pl.DataFrame", points: float, key: str, attribution: Any
) -> None:
    from pipelines.credit_scoring.reasons import value_text
    from shared.evaluation.calibration import sigmoid

    rule = lender.rule
    parts = []
    for name, value in zip(attribution.names, attribution.values[0], strict=True):
        column = lender.schema.feature(name)
        text = value_text(column, applicant[name][0]).split(": ", 1)[1]
        parts.append(Part(column.title, -float(value) * rule.points_per_log_odds, text))
    base = float(rule.points(sigmoid(np.array([attribution.base_value])))[0])
    waterfall_chart(
        model,
        parts,
        "From a usual applicant to this one",
        base=("reference applicants", base),
        total=("this applicant", points),
        unit="points, higher is safer",
        key=f"{key}/waterfall",
        higher_is_good=True,
        second=lambda places: [f"{share:.1%}" for share in rule.probability(places)],
        second_title="probability of default",
    )


def _recourse(lender: "Scorer", applicant: "pl.DataFrame", decision: str, key: str) -> None:
    if decision == "approve" or not st.toggle("What would have to change?", key=f"{key}/recourse"):
        return
    from pipelines.credit_scoring.reasons import find_recourse, value_text

    with st.spinner("Searching the smallest change ...", show_time=True):
        found = find_recourse(lender, _with_id(applicant))[0]
    if found.new_probability is None:
        st.text("No change of one or two things that an applicant can change leads to approval.")
        return
    for name, (old, new) in found.changes.items():
        column = lender.schema.feature(name)
        before, after = (value_text(column, value).split(": ", 1)[1] for value in (old, new))
        st.text(f"{column.title}: from {before} to {after}")
    st.caption(
        f"Probability of default {found.probability:.1%} to {found.new_probability:.1%}. It changes the estimate, "
        "not necessarily the fate of the person."
    )


def _letter(name: str, decision: str, reasons: Any, key: str) -> None:
    from pipelines.credit_scoring.letter import letter

    with st.expander("Letter to the applicant", icon=":material/mail:"):
        # a key that changes with the text: a kept one would go on showing the letter of the last applicant
        text = letter(name, decision, reasons)
        edited = st.text_area("Draft", text, height=280, key=f"{key}/letter/{hash(text)}")
        st.download_button(
            "Download the letter", edited, "letter.txt", "text/plain", key=f"{key}/send", on_click="ignore"
        )


def _with_id(applicant: "pl.DataFrame") -> "pl.DataFrame":
    """Recourse names the applicant that it is for."""
    import polars as pl

    if "application_id" in applicant.columns:
        return applicant
    return applicant.with_columns(application_id=pl.lit("this applicant"))
