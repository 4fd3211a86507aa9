"""Adverse reasons and recourse: why not, and what the smallest allowed change is that would turn the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.credit_scoring.schema import CategoricalColumn, LenderSchema, NumericColumn
from shared.interpretability.attribution import Attribution

if TYPE_CHECKING:
    from pipelines.credit_scoring.score import Scorer


# Characters. A free-text column may hold whole letters, and a record of a decision is no place for them.
_LONGEST_CODE, _LONGEST_VALUE = 100, 80


@dataclass(frozen=True, slots=True)
class Reason:
    """One principal reason: a stable code, the phrase for the letter, and its weight in log-odds (positive)."""

    code: str
    text: str
    log_odds: float


def adverse_reasons(
    schema: LenderSchema, frame: pl.DataFrame, attribution: Attribution, *, num_reasons: int, minimum: float
) -> list[list[Reason]]:
    """The columns that raised each applicant's risk most: adverse direction only, at most `num_reasons`.

    Columns that share a phrase (the delay in each of six months, say) are one reason with their joint weight:
    a letter that gives the same reason twice explains nothing.
    """
    phrases = [reason_text(schema.feature(name)) for name in attribution.names]
    distinct = list(dict.fromkeys(phrases))
    members = {text: [i for i, phrase in enumerate(phrases) if phrase == text] for text in distinct}
    joint = np.stack([attribution.values[:, members[text]].sum(axis=1) for text in distinct], axis=1)
    order = np.argsort(-joint, axis=1, kind="stable")[:, :num_reasons]
    found = []
    for row, columns in enumerate(order):
        reasons = []
        for index in columns:
            if joint[row, index] <= 0.0 or joint[row, index] < minimum:
                break
            strongest = max(members[distinct[index]], key=lambda column: attribution.values[row, column])
            name = attribution.names[strongest]
            value = value_text(schema.feature(name), frame[name][row])
            text = f"{distinct[index]} ({value})" if schema.feature(name).reason else _capital(value)
            code = reason_code(distinct[index], schema.phrases_version)
            reasons.append(Reason(code, text, float(joint[row, index])))
        found.append(reasons)
    return found


def reason_text(column: NumericColumn | CategoricalColumn) -> str:
    """The phrase of a column; without one in the schema, its title."""
    return column.reason or _capital(column.title)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def reason_code(phrase: str, phrases_version: str) -> str:
    """Stable code of a phrase, with the major version of the phrase table."""
    words = "".join(letter if letter.isalnum() else " " for letter in phrase.upper()).split()
    return f"V{phrases_version.split('.')[0]}-{'_'.join(words[:6])[:_LONGEST_CODE]}"


def value_text(column: NumericColumn | CategoricalColumn, value: object) -> str:
    """A value as a person reads it: unit, meaning of a special code or a level, `not stated`."""
    if value is None:
        return f"{column.title}: not stated"
    if isinstance(column, CategoricalColumn):
        meaning = column.levels.get(str(value), str(value))
        return (
            f"{column.title}: {meaning if len(meaning) <= _LONGEST_VALUE else meaning[:_LONGEST_VALUE] + '…'}"
        )
    number = float(value)  # type: ignore[arg-type]
    if number in column.special_codes:
        return f"{column.title}: {column.special_codes[number]}"
    if number == round(number) or abs(number) >= 1000:
        shown = f"{number:,.0f}"
    else:
        shown = f"{number:,.2f}" if abs(number) >= 0.1 else f"{number:.2g}"
    return f"{column.title}: {shown}{' ' + column.unit if column.unit else ''}"


@dataclass(frozen=True, slots=True)
class Recourse:
    """The smallest allowed change found that leads to approval. `effort` sums, over the changed columns, the share
    of the reference applicants that the applicant overtakes; None where no allowed change of two columns suffices."""

    application_id: str
    probability: float
    changes: Mapping[str, tuple[object, object]]
    effort: float | None
    new_probability: float | None


def find_recourse(scorer: "Scorer", frame: pl.DataFrame) -> list[Recourse]:
    """Searches all single changes, then pairs of them, for each row (declined applicants).

    Candidates are the bin edges of the training applicants, in the direction that the schema allows, and whole
    numbers where the reference applicants have only those.
    """
    return [_recourse_of(scorer, frame[row : row + 1]) for row in range(len(frame))]


_PAIR_CANDIDATES_A_COLUMN = 6


def _recourse_of(scorer: "Scorer", applicant: pl.DataFrame) -> Recourse:
    limit = scorer.rule.cut_off - scorer.rule.review_band
    probability = float(scorer.probability(applicant)[0])
    identity = str(applicant["application_id"][0])
    singles = [change for column in scorer.schema.features for change in _changes(scorer, applicant, column)]
    best = _cheapest(scorer, applicant, [(change,) for change in singles], limit)
    if best is None and singles:
        lowered = _probabilities(scorer, applicant, [(change,) for change in singles]) < probability
        promising = _spread([change for change, lower in zip(singles, lowered, strict=True) if lower])
        pairs = [pair for pair in combinations(promising, 2) if pair[0].column != pair[1].column]
        best = _cheapest(scorer, applicant, pairs, limit)
    if best is None:
        return Recourse(identity, probability, {}, None, None)
    changes, new_probability = best
    return Recourse(
        identity,
        probability,
        {change.column: (applicant[change.column][0], change.value) for change in changes},
        sum(change.effort for change in changes),
        new_probability,
    )


@dataclass(frozen=True, slots=True)
class _Change:
    column: str
    value: object
    effort: float


def _spread(changes: Sequence[_Change]) -> list[_Change]:
    """A few changes of each column, from the smallest to the largest: pairs need small ones, too."""
    kept = []
    for column in dict.fromkeys(change.column for change in changes):
        by_effort = sorted((c for c in changes if c.column == column), key=lambda change: change.effort)
        places = np.linspace(0, len(by_effort) - 1, min(len(by_effort), _PAIR_CANDIDATES_A_COLUMN))
        kept += [by_effort[place] for place in places.round().astype(int)]
    return kept


def _changes(
    scorer: "Scorer", applicant: pl.DataFrame, column: NumericColumn | CategoricalColumn
) -> list[_Change]:
    current = applicant[column.name][0]
    if isinstance(column, CategoricalColumn):
        levels = next(e.levels for e in scorer.features.categorical if e.name == column.name)
        # one level further is a whole step: as much effort as overtaking half of the others
        return (
            [_Change(column.name, level, 0.5) for level in levels if level != current]
            if column.may_change
            else []
        )
    if column.may_change is None or current is None or float(current) in column.special_codes:
        return []
    edges = np.array(next(e.edges for e in scorer.features.numeric if e.name == column.name))
    if not len(edges):
        return []
    reference = scorer.background[column.name].drop_nulls()
    values = np.unique(edges.round()) if bool((reference == reference.round()).all()) else edges
    allowed = {"up": values > current, "down": values < current, "both": values != current}
    values = values[allowed[column.may_change]]
    effort = np.abs(_rank(values, edges) - _rank(np.array([float(current)]), edges))
    return [
        _Change(column.name, float(value), float(step)) for value, step in zip(values, effort, strict=True)
    ]


def _rank(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the training applicants' bins below each value."""
    return np.interp(values, edges, np.linspace(0.0, 1.0, len(edges)))


def _probabilities(
    scorer: "Scorer", applicant: pl.DataFrame, candidates: Sequence[tuple[_Change, ...]]
) -> np.ndarray:
    columns = {}
    for name in scorer.schema.feature_names:
        values = [applicant[name][0]] * len(candidates)
        for row, changes in enumerate(candidates):
            for change in changes:
                if change.column == name:
                    values[row] = change.value
        columns[name] = pl.Series(name, values, dtype=applicant.schema[name])
    return scorer.probability(pl.DataFrame(columns))


def _cheapest(
    scorer: "Scorer", applicant: pl.DataFrame, candidates: Sequence[tuple[_Change, ...]], limit: float
) -> tuple[tuple[_Change, ...], float] | None:
    if not candidates:
        return None
    probabilities = _probabilities(scorer, applicant, candidates)
    enough = np.flatnonzero(probabilities < limit)
    if not len(enough):
        return None
    best = min(enough, key=lambda i: (sum(change.effort for change in candidates[i]), probabilities[i]))
    return candidates[best], float(probabilities[best])
