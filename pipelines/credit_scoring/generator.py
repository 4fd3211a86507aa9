"""A small simulator of credit applicants whose causes of default are known.

The causal order is protected group, age -> education, employment -> income, savings, debts -> loan asked for
-> default. What it holds on purpose, because real portfolios do and toy generators do not:

- interactions: high income does not help at very high debt-to-income; a guarantor matters most where employment
  is short;
- missing values that carry information: applicants without savings tend to leave the field empty;
- special codes: -9 in `months_since_delinquency` means "never delinquent", the opposite of a small number;
- a protected attribute that moves income (a pay gap) but not default given the features.

`true_log_odds` is the structural equation itself, so that calibration, attributions and recourse can be
compared with the truth.
"""

import numpy as np
import polars as pl

from pipelines.credit_scoring.declared import column_map

NEVER_DELINQUENT = -9.0

SCHEMA = column_map("synthetic").to_schema("synthetic")


def _applicants(num_rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Everything about the applicants but the outcome, in causal order; complete, without missing values."""
    female = rng.random(num_rows) < 0.48
    age = np.clip(rng.gamma(9.0, 4.6, num_rows), 18, 80).round()
    education = rng.choice(3, num_rows, p=[0.3, 0.45, 0.25])
    employment = np.round(np.clip(rng.exponential(0.22 * (age - 17)), 0, np.minimum(age - 16, 60)), 1)
    income = np.exp(
        7.35 + 0.22 * education + 0.09 * np.log1p(employment) - 0.12 * female + rng.normal(0, 0.38, num_rows)
    )
    housing = np.where(rng.random(num_rows) < 0.012 * (age - 18), 0, np.where(age < 27, 2, 1))
    savings = np.where(
        rng.random(num_rows) < 0.25, 0.0, np.exp(rng.normal(0.9 * np.log(income) + 0.5, 1.1, num_rows))
    )
    utilisation = np.clip(rng.beta(1.6, 2.6, num_rows) * (1.25 - 0.2 * (savings > 5000)), 0, 1.5)
    debt_to_income = np.clip(rng.gamma(2.2, 0.17, num_rows) + 0.12 * utilisation, 0, 2.5)
    inquiries = rng.poisson(0.5 + 1.6 * utilisation)
    amount = np.clip(np.exp(rng.normal(np.log(income) + 1.0, 0.7, num_rows)), 300, 80_000)
    months = rng.choice(
        [6, 12, 18, 24, 36, 48, 60, 72], num_rows, p=[0.06, 0.16, 0.14, 0.2, 0.18, 0.12, 0.09, 0.05]
    )
    ever = rng.random(num_rows) < 0.12 + 0.25 * utilisation
    since = np.where(ever, rng.integers(1, 72, num_rows).astype(float), NEVER_DELINQUENT)
    return {
        "female": female,
        "age": age,
        "education": education,
        "employment_years": employment,
        "monthly_income": income.round(),
        "housing": housing,
        "savings": savings.round(),
        "card_utilisation": utilisation.round(3),
        "debt_to_income": debt_to_income.round(3),
        "recent_inquiries": inquiries.astype(float),
        "loan_amount": amount.round(-1),
        "loan_months": months.astype(float),
        "months_since_delinquency": since,
        "guarantor": (rng.random(num_rows) < 0.1).astype(int),
        "purpose": rng.choice(4, num_rows, p=[0.3, 0.2, 0.35, 0.15]),
    }


def true_log_odds(frame: pl.DataFrame) -> np.ndarray:
    """The structural equation of default, log-odds of shape (rows,), from the features of a contract table.

    It sees what a lender sees: a missing value has an effect of its own. Savings are left empty mostly by people
    who have next to none, so an empty field counts as little. Age and sex do not occur in it.
    """

    def number(name: str) -> np.ndarray:
        return frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()

    def level(name: str, value: str) -> np.ndarray:
        return frame[name].eq(value).fill_null(False).to_numpy().astype(float)

    income_effect = np.clip(np.log(np.maximum(number("monthly_income"), 100.0) / 2200.0), -1.2, 1.2)
    ratio = number("debt_to_income")
    # Income helps while debts are bearable and not at all where two thirds of it are spoken for.
    income_helps = 1.0 / (1.0 + np.exp((ratio - 0.5) / 0.06))
    savings = number("savings")
    savings_effect = np.where(np.isnan(savings), -0.45, np.log1p(np.nan_to_num(savings)) / 9.0 - 0.7)
    since = number("months_since_delinquency")
    delinquency = np.where(since == NEVER_DELINQUENT, -0.25, 1.3 * np.exp(-np.maximum(since, 0.0) / 18.0))
    burden = np.log(number("loan_amount") / np.maximum(number("monthly_income"), 100.0)) - 1.0
    employment = number("employment_years")
    short_employment = np.where(np.isnan(employment), 0.5, np.exp(-np.nan_to_num(employment) / 2.0))
    return (
        -2.55
        - 1.5 * income_effect * income_helps
        + 2.6 * np.maximum(ratio - 0.25, 0.0)
        + 0.55 * burden
        + 0.016 * (number("loan_months") - 30.0)
        + 0.9 * short_employment * (1.0 - level("guarantor", "guarantor"))
        - 0.2 * level("guarantor", "guarantor")
        - 0.75 * savings_effect
        + delinquency
        + 1.1 * np.maximum(number("card_utilisation") - 0.45, 0.0)
        + 0.13 * number("recent_inquiries")
        - 0.35 * level("housing", "owner")
        - 0.25 * level("education", "university")
        + 0.3 * level("purpose", "debt")
        - 0.15 * level("purpose", "car")
    )


def generate(num_rows: int, seed: int) -> pl.DataFrame:
    """Applicants of shape (num_rows) in the contract's shape, outcome drawn from `true_log_odds`.

    Missing values come before the outcome is drawn, so that the equation holds for the table as it is.
    """
    rng = np.random.default_rng(seed)
    drawn = _applicants(num_rows, rng)
    savings = drawn["savings"]
    unstated = rng.random(num_rows) < np.where(savings < 500, 0.45, 0.05)
    unstated_employment = rng.random(num_rows) < 0.02

    def names(name: str) -> list[str]:
        levels = list(SCHEMA.feature(name).levels)  # type: ignore[union-attr]
        return [levels[code] for code in drawn[name]]

    frame = pl.DataFrame(
        {
            "application_id": [f"S{seed}-{number:07d}" for number in range(num_rows)],
            **{column.name: drawn[column.name].astype(float) for column in SCHEMA.numeric},
            **{column.name: names(column.name) for column in SCHEMA.categorical},
            "sex": np.where(drawn["female"], "f", "m").tolist(),
            "age": drawn["age"],
        }
    ).with_columns(
        savings=pl.when(pl.Series(unstated)).then(None).otherwise(pl.col("savings")),
        employment_years=pl.when(pl.Series(unstated_employment))
        .then(None)
        .otherwise(pl.col("employment_years")),
    )
    probability = 1.0 / (1.0 + np.exp(-true_log_odds(frame)))
    return frame.with_columns(defaulted=pl.Series((rng.random(num_rows) < probability).astype(np.int64)))
