"""The gate: may a new model take the place of the champion? A pure function: one test table has every case.

A challenger is promoted when its own checks pass and it is shown to be not worse than the champion on the
same frozen test rows, within a margin stated beforehand (non-inferiority, on a paired bootstrap interval). A
point estimate alone never decides.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal[
    "first",
    "better",
    "not_worse",
    "worse",
    "unclear",
    "checks_failed",
    "replaces_generated",
    "not_comparable",
]
REQUIRED_CHECKS = ("explanation_faithful", "leak_audit_clean")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold for a model by itself; `passed` is None where it could not be run."""

    passed: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the gate must know of a model.

    `table` names the population (`synthetic`, a data set, the path of a user's table), not one snapshot:
    a model trained again on fresh rows is comparable, since both are measured on the same test rows.
    """

    contract: str = field(metadata={"help": "id@version of the input contract"})
    contract_digest: str
    table: str
    generated: bool = field(metadata={"help": "the table came from the built-in generator"})
    version: int | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return "the challenger" if self.version is None else f"version {self.version}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate said, with its reasons in plain words."""

    promote: bool
    outcome: Outcome
    reasons: tuple[str, ...]
    margin: float
    comparison: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "promote": self.promote,
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "margin": self.margin,
            "comparison": dict(self.comparison) if self.comparison else None,
        }


def decide(
    challenger: Candidate,
    champion: Candidate | None,
    comparison: Mapping[str, Any] | None = None,
    *,
    margin: float,
    required_checks: Sequence[str] = REQUIRED_CHECKS,
) -> Decision:
    """Decide whether `challenger` becomes the champion.

    `comparison` is the paired difference challenger minus champion in the units of the metric: "difference",
    "low", "high", "n", "higher_is_better" and, for the wording, "metric". `margin` is in the same units: the
    largest loss that still counts as "not worse". Every check the challenger carries must pass, and those in
    `required_checks` must be there.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"Expected a finite margin of 0 or more. Received {margin}.")
    if failed := _failed_checks(challenger, required_checks):
        return Decision(False, "checks_failed", failed, margin, comparison)
    if champion is None:
        return Decision(True, "first", ("It is the first model and its own checks passed.",), margin)
    if differences := _differences(challenger, champion):
        return _without_comparison(challenger, champion, differences, margin)
    promote, outcome, reason = _compare(comparison, margin, champion.label)
    return Decision(promote, outcome, (reason,), margin, comparison)


def _failed_checks(challenger: Candidate, required: Sequence[str]) -> tuple[str, ...]:
    names = dict.fromkeys([*required, *challenger.checks])
    failed = []
    for name in names:
        check = challenger.checks.get(name, Check(None, "no result was given"))
        if check.passed is not True:
            words = "did not pass" if check.passed is False else "could not be judged"
            failed.append(
                f"Check {name.replace('_', ' ')} {words}{': ' if check.detail else ''}{check.detail.rstrip('.')}."
            )
    return tuple(failed)


def _differences(challenger: Candidate, champion: Candidate) -> list[str]:
    """Why the two models cannot be measured on the same rows; empty when they can."""
    found = []
    if _family(challenger.contract) != _family(champion.contract):
        found.append(f"contract {challenger.contract} instead of {champion.contract}")
    elif challenger.contract_digest != champion.contract_digest:
        found.append(f"other columns under {challenger.contract} (the contract was changed or extended)")
    if challenger.table != champion.table or challenger.generated != champion.generated:
        found.append(f"table {challenger.table} instead of {champion.table}")
    return found


def _family(contract: str) -> tuple[str, str]:
    """Id and major version: minor versions of a contract accept each other's data."""
    identifier, _, version = contract.partition("@")
    return identifier, version.partition(".")[0]


def _without_comparison(
    challenger: Candidate, champion: Candidate, differences: list[str], margin: float
) -> Decision:
    what = f"It is not comparable with {champion.label}: {'; '.join(differences)}."
    if champion.generated:
        kind = "another generated table" if challenger.generated else "real data"
        why = f"The champion comes from generated data, and this model from {kind}: it takes its place."
        return Decision(True, "replaces_generated", (what, why), margin)
    if challenger.generated:
        why = "A model from generated data never replaces one from real data."
    else:
        why = "Which of two real tables to serve is for people to decide: promote it by hand to use it."
    return Decision(False, "not_comparable", (what, why), margin)


def _compare(comparison: Mapping[str, Any] | None, margin: float, champion: str) -> tuple[bool, Outcome, str]:
    if comparison is None:
        return False, "unclear", f"No comparison with {champion} on the same test rows was given."
    difference, low, high = (_number(comparison.get(key)) for key in ("difference", "low", "high"))
    num_units, higher_is_better = comparison.get("n") or 0, comparison.get("higher_is_better")
    if not math.isfinite(difference + low + high) or not num_units or not isinstance(higher_is_better, bool):
        return False, "unclear", f"The comparison with {champion} has no usable interval or direction."
    # Seen as a gain, so that one rule serves both directions.
    worst, best = (low, high) if higher_is_better else (-high, -low)
    numbers = (
        f"{comparison.get('metric', 'the metric')} differs by {_signed(difference)} "
        f"(95 % interval {_signed(low)} to {_signed(high)}, n = {num_units:,}, margin {margin:.4g})"
    )
    if worst > 0:
        return True, "better", f"Better than {champion}: {numbers}."
    if worst >= -margin:
        return True, "not_worse", f"Not worse than {champion} within the margin: {numbers}."
    if best < -margin:
        return False, "worse", f"Worse than {champion}: {numbers}."
    return False, "unclear", f"Not shown to be as good as {champion}: {numbers}. More rows may settle it."


def _number(value: Any) -> float:
    """The value, or NaN for what is no number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _signed(value: float) -> str:
    return f"{value:+.4g}".replace("-", "−")
