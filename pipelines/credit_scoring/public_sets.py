"""How the two public credit tables map to the contract: names, units, special codes, protected attributes.

German credit (Statlog, UCI 144): class 1 is good, 2 is bad. `personal_status_sex` joins sex and marital status,
both protected: sex is kept for the audit and the column is no feature.
Taiwan (UCI 350): the repayment status of a month is -2 no consumption, -1 paid in full, 0 revolving credit, else
months of delay: the first three are states, not amounts. Education codes 0, 5 and 6 are undocumented.
"""

import polars as pl

from pipelines.credit_scoring.schema import (
    CategoricalColumn,
    ColumnMap,
    LenderSchema,
    NumericColumn,
    ProtectedColumn,
)

GERMAN_COLUMNS = (
    "checking_account", "duration_months", "credit_history", "purpose", "credit_amount", "savings_account",
    "employment_since", "installment_rate", "personal_status_sex", "other_debtors", "residence_since", "property",
    "age", "other_installment_plans", "housing", "existing_credits", "job", "dependents", "telephone",
    "foreign_worker", "class",
)  # fmt: skip

_FEMALE = {"A92", "A95"}

GERMAN_SCHEMA = LenderSchema(
    name="german_credit",
    numeric=(
        NumericColumn(
            name="duration_months", label="duration of the credit", unit="months", minimum=1, maximum=120,
            may_change="down", reason="Term of the credit requested",
        ),
        NumericColumn(
            name="credit_amount", label="credit amount", unit="DM", minimum=0, may_change="down",
            reason="Amount of credit requested",
        ),
        NumericColumn(
            name="installment_rate", label="instalment rate", unit="% of disposable income (class 1-4)", minimum=1,
            maximum=4, may_change="down", reason="Instalments too high in relation to income",
        ),
        NumericColumn(
            name="residence_since", label="time at present residence", unit="years (class 1-4)", minimum=0,
            maximum=4, reason="Length of residence",
        ),
        NumericColumn(
            name="existing_credits", label="existing credits at this bank", unit="credits", minimum=0, maximum=20,
            reason="Number of existing credits",
        ),
        NumericColumn(
            name="dependents", label="people to maintain", unit="people", minimum=0, maximum=20,
            reason="Number of people to maintain",
        ),
    ),
    categorical=(
        CategoricalColumn(
            name="checking_account", label="checking account", reason="Balance of the checking account",
            may_change=True, levels={"A11": "below 0 DM", "A12": "0 to 200 DM",
                    "A13": "200 DM or more, or salary account", "A14": "no checking account"},
        ),
        CategoricalColumn(
            name="credit_history", label="credit history", reason="Credit history",
            levels={"A30": "no credits taken, or all paid back duly", "A31": "all credits here paid back duly",
                    "A32": "existing credits paid back duly till now", "A33": "delay in the past",
                    "A34": "critical account, or credits elsewhere"},
        ),
        CategoricalColumn(
            name="purpose", reason="Purpose of the credit",
            levels={"A40": "new car", "A41": "used car", "A42": "furniture or equipment", "A43": "radio or television",
                    "A44": "domestic appliances", "A45": "repairs", "A46": "education", "A47": "vacation",
                    "A48": "retraining", "A49": "business", "A410": "other"},
        ),
        CategoricalColumn(
            name="savings_account", label="savings", reason="Savings insufficient or not stated", may_change=True,
            levels={"A61": "below 100 DM", "A62": "100 to 500 DM", "A63": "500 to 1000 DM", "A64": "1000 DM or more",
                    "A65": "unknown or none"},
        ),
        CategoricalColumn(
            name="employment_since", label="present employment", reason="Length of employment",
            levels={"A71": "unemployed", "A72": "below 1 year", "A73": "1 to 4 years", "A74": "4 to 7 years",
                    "A75": "7 years or more"},
        ),
        CategoricalColumn(
            name="other_debtors", label="other debtors", reason="No sufficient guarantor", may_change=True,
            levels={"A101": "none", "A102": "co-applicant", "A103": "guarantor"},
        ),
        CategoricalColumn(
            name="property", reason="Type or value of property",
            levels={"A121": "real estate", "A122": "building society savings or life insurance",
                    "A123": "car or other", "A124": "unknown or none"},
        ),
        CategoricalColumn(
            name="other_installment_plans", label="other instalment plans", may_change=True,
            reason="Obligations to other lenders",
            levels={"A141": "at a bank", "A142": "at stores", "A143": "none"},
        ),
        CategoricalColumn(
            name="housing", reason="Housing situation",
            levels={"A151": "rent", "A152": "own", "A153": "for free"},
        ),
        CategoricalColumn(
            name="job", reason="Type of employment",
            levels={"A171": "unemployed or unskilled, non-resident", "A172": "unskilled, resident",
                    "A173": "skilled employee or official", "A174": "management, self-employed, highly qualified"},
        ),
        CategoricalColumn(
            name="telephone", reason="Unable to verify contact details",
            levels={"A191": "none", "A192": "registered"},
        ),
    ),
    protected=(
        ProtectedColumn(name="sex", levels={"female": "female", "male": "male"}),
        ProtectedColumn(name="age", unit="years", upper_edges=(25, 40, 60)),
        ProtectedColumn(name="foreign_worker", label="foreign worker", levels={"A201": "yes", "A202": "no"}),
    ),
)  # fmt: skip

GERMAN_MAP = ColumnMap(defaulted="class", default_value=2, repaid_value=1, separator=" ")


def german_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Splits sex out of the joined status column."""
    sex = pl.when(pl.col("personal_status_sex").is_in(_FEMALE)).then(pl.lit("female")).otherwise(pl.lit("male"))
    return frame.with_columns(sex=sex)


_PAY_STATES = {-2.0: "no consumption", -1.0: "paid in full", 0.0: "revolving credit"}
_MONTHS = ("september", "august", "july", "june", "may", "april")  # of 2005, latest first


def _taiwan_numeric() -> tuple[NumericColumn, ...]:
    status = [
        NumericColumn(
            name=f"delay_{month}", label=f"payment delay in {month}", unit="months", minimum=1, maximum=12,
            special_codes=_PAY_STATES, reason="Delinquent past or present credit obligations",
        )
        for month in _MONTHS
    ]  # fmt: skip
    bills = [
        NumericColumn(
            name=f"bill_{month}", label=f"bill in {month}", unit="TWD",
            reason="Amount owed on the account too high",
        )
        for month in _MONTHS
    ]  # fmt: skip
    payments = [
        NumericColumn(
            name=f"paid_{month}", label=f"paid in {month}", unit="TWD", minimum=0,
            may_change="up" if month == _MONTHS[0] else None, reason="Payments too low in relation to the debt",
        )
        for month in _MONTHS
    ]  # fmt: skip
    limit = NumericColumn(
        name="credit_limit", label="credit limit", unit="TWD", minimum=0, reason="Limit granted on the account"
    )
    return (limit, *status, *bills, *payments)


TAIWAN_SCHEMA = LenderSchema(
    name="taiwan_default",
    numeric=_taiwan_numeric(),
    categorical=(
        CategoricalColumn(
            name="education", reason="Level of education on file",
            levels={"1": "graduate school", "2": "university", "3": "high school", "4": "other", "0": "undocumented",
                    "5": "undocumented (5)", "6": "undocumented (6)"},
        ),
    ),
    protected=(
        ProtectedColumn(name="sex", levels={"1": "male", "2": "female"}),
        ProtectedColumn(
            name="marriage", label="marital status",
            levels={"0": "undocumented", "1": "married", "2": "single", "3": "other"},
        ),
        ProtectedColumn(name="age", unit="years", upper_edges=(25, 40, 60)),
    ),
)  # fmt: skip


def _taiwan_names() -> dict[str, str]:
    names = {"LIMIT_BAL": "credit_limit", "SEX": "sex", "EDUCATION": "education", "MARRIAGE": "marriage", "AGE": "age"}
    for position, month in enumerate(_MONTHS, start=1):
        # the published file counts PAY_0, PAY_2, ..., PAY_6
        names[f"PAY_{0 if position == 1 else position}"] = f"delay_{month}"
        names[f"BILL_AMT{position}"] = f"bill_{month}"
        names[f"PAY_AMT{position}"] = f"paid_{month}"
    return names


TAIWAN_MAP = ColumnMap(
    application_id="ID", defaulted="default.payment.next.month", separator=",", rename=_taiwan_names()
)


def known_map(schema_name: str) -> ColumnMap | None:
    """The column map of a public set, so that its own file format can be scored as it is."""
    return {"german_credit": GERMAN_MAP, "taiwan_default": TAIWAN_MAP}.get(schema_name)
