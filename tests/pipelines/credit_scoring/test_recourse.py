"""Recourse is allowed, really leads to approval, and never asks for what an applicant cannot or must not change."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from pipelines.credit_scoring.decide import APPROVE, DECLINE
from pipelines.credit_scoring.explain import recourse_summary
from pipelines.credit_scoring.reasons import find_recourse
from pipelines.credit_scoring.schema import CategoricalColumn, NumericColumn
from shared.contracts.table import check_table


@pytest.fixture(scope="module")
def searched(small):
    """Declined applicants with the recourse that was found for each."""
    declined = small.test.filter(
        pl.Series(small.scorer.rule.decide(small.scorer.probability(small.test)) == DECLINE)
    )
    declined = declined[:60]
    return [
        (declined[row : row + 1], found) for row, found in enumerate(find_recourse(small.scorer, declined))
    ]


def changed(applicant, recourse):
    return applicant.with_columns(
        pl.lit(new).cast(applicant.schema[name]).alias(name) for name, (_, new) in recourse.changes.items()
    )


def test_recourse_really_leads_to_approval(small, searched):
    with_recourse = [(applicant, recourse) for applicant, recourse in searched if recourse.effort is not None]
    assert len(with_recourse) > 0.5 * len(searched)
    for applicant, recourse in with_recourse:
        probability = small.scorer.probability(changed(applicant, recourse))
        assert small.scorer.rule.decide(probability).tolist() == [APPROVE]
        assert probability[0] == pytest.approx(recourse.new_probability, abs=1e-6)


def test_recourse_changes_at_most_two_columns_in_the_allowed_direction(small, searched):
    protected = {column.name for column in small.scorer.schema.protected}
    for applicant, recourse in searched:
        assert len(recourse.changes) <= 2
        for name, (old, new) in recourse.changes.items():
            column = small.scorer.schema.feature(name)
            assert name not in protected
            assert column.may_change
            assert old == applicant[name][0] != new
            if isinstance(column, NumericColumn):
                assert {"up": new > old, "down": new < old, "both": True}[column.may_change]
                assert old not in column.special_codes
                assert new not in column.special_codes


def test_the_changed_applicant_keeps_the_contract(small, searched):
    rows = pl.concat([changed(applicant, recourse) for applicant, recourse in searched])
    assert not check_table(rows, small.scorer.schema.contract()).violations


def test_whole_numbers_stay_whole(searched):
    for _, recourse in searched:
        for name in {"loan_months", "savings", "monthly_income"} & set(recourse.changes):
            assert recourse.changes[name][1] == round(recourse.changes[name][1])


def test_no_smaller_change_of_the_same_column_was_passed_over(small, searched):
    """Every bin edge between the old value and the new leaves the applicant without approval."""
    for applicant, recourse in searched[:25]:
        names = list(recourse.changes)
        if len(names) != 1 or isinstance(small.scorer.schema.feature(names[0]), CategoricalColumn):
            continue
        (name,), ((old, new),) = names, recourse.changes.values()
        edges = np.array(next(e.edges for e in small.scorer.features.numeric if e.name == name))
        edges = np.unique(edges.round()) if name not in ("debt_to_income", "card_utilisation") else edges
        between = edges[(edges > min(old, new)) & (edges < max(old, new))]
        if len(between):
            rows = pl.concat([applicant] * len(between)).with_columns(pl.Series(name, between))
            assert (small.scorer.rule.decide(small.scorer.probability(rows)) != APPROVE).all()


def test_where_nothing_may_change_there_is_no_recourse(small, searched):
    frozen = small.scorer.schema.model_copy(
        update={
            "numeric": tuple(c.model_copy(update={"may_change": None}) for c in small.scorer.schema.numeric),
            "categorical": tuple(
                c.model_copy(update={"may_change": False}) for c in small.scorer.schema.categorical
            ),
        }
    )
    scorer = dataclasses.replace(small.scorer, schema=frozen)
    (found,) = find_recourse(scorer, searched[0][0])
    assert found.changes == {}
    assert found.effort is found.new_probability is None
    assert recourse_summary(scorer, small.test, small.config, truth_is_known=False) is None


@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_schema_alone_decides_the_direction_even_against_the_applicants_interest(
    small, searched, direction
):
    numeric = tuple(
        column.model_copy(update={"may_change": direction}) for column in small.scorer.schema.numeric
    )
    schema = small.scorer.schema.model_copy(update={"numeric": numeric})
    scorer = dataclasses.replace(small.scorer, schema=schema)
    found = find_recourse(scorer, pl.concat([applicant for applicant, _ in searched]))
    numbers = {column.name for column in numeric}
    steps = [
        new - old for recourse in found for name, (old, new) in recourse.changes.items() if name in numbers
    ]
    assert len(steps) > 10
    assert min(steps) > 0 if direction == "up" else max(steps) < 0


def test_missing_values_and_special_codes_are_not_asked_to_change(small, searched):
    numeric = tuple(
        column.model_copy(update={"may_change": "both"}) for column in small.scorer.schema.numeric
    )
    schema = small.scorer.schema.model_copy(update={"numeric": numeric})
    scorer = dataclasses.replace(small.scorer, schema=schema)
    rows = pl.concat([applicant for applicant, _ in searched]).with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ("savings", "monthly_income", "debt_to_income")
    )
    never_delinquent = rows["months_since_delinquency"] == -9
    found = find_recourse(scorer, rows)
    assert sum(bool(recourse.changes) for recourse in found) > 10
    for recourse, is_code in zip(found, never_delinquent, strict=True):
        assert not {"savings", "monthly_income", "debt_to_income"} & set(recourse.changes)
        assert not (is_code and "months_since_delinquency" in recourse.changes)


def test_recourse_of_the_generator_lowers_the_true_risk(small):
    summary = recourse_summary(small.scorer, small.test, small.config, truth_is_known=True)
    assert summary["with_recourse"] >= summary["one_change"] > 0
    assert 0 < summary["median_effort"] < 2
    assert summary["lowers_true_risk"] > 0.8


def test_nobody_declined_means_no_summary(small):
    approved = small.test.filter(
        pl.Series(small.scorer.rule.decide(small.scorer.probability(small.test)) == APPROVE)
    )
    assert recourse_summary(small.scorer, approved, small.config, truth_is_known=True) is None
