"""What explanations say of test beats, and how far they can be trusted.

Checked are completeness, replacing pieces of a beat by the usual one against a random order, and networks of random
weights; on the generator, whether the abnormal stretch of a beat is found. The explanations themselves are in
`explainer`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
import torch

from pipelines.ecg_anomaly.beats import samples_before
from pipelines.ecg_anomaly.explainer import RHYTHM, SEGMENT, Explainer, heat
from pipelines.ecg_anomaly.inputs import DIFFERENCE, BeatInputs
from pipelines.ecg_anomaly.predictions import SCORE
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.score import Scorer
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import Faithfulness
from shared.interpretability.ranks import mean_interval

HEAT, GRAD_CAM, DIFFERENCE_ALONE = "heat", "grad_cam", "difference_alone"
_NUM_EXAMPLES = 4
_TRUTH_BEATS = 120
# R peaks of the truth and of the recording are the same beat when they lie this near, s.
_SAME_BEAT_S = 0.1


def explain_test(
    scorer: Scorer,
    recordings: Recordings,
    inputs: BeatInputs,
    table: pl.DataFrame,
    truth: pl.DataFrame | None = None,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """A document of plain values, and the contributions of the beats on which the explanation was checked.

    inputs: of all beats of `recordings`. table: test beats that the detector has not seen, see
    `predictions.predict_fold`. truth: of the generator, None elsewhere. The contributions have a row for each beat and
    piece of it: beat, record, beat_time, beat_class, flagged, part, contribution.
    """
    config = scorer.config
    explainer = explainer_of(scorer, recordings.rate_hz)
    cases = beats_to_check(table, config.explanation.num_checked)
    explained = _Explained(explainer, inputs, cases)
    attribution = explainer.checked(explained.by_sample, explained.seen, explained.early, seed=config.seed)
    document = {
        "attribution": attribution.to_json(),
        "segment": SEGMENT,
        "rate_hz": recordings.rate_hz,
        "before": explainer.before,
        "others": {name: found.to_json() for name, found in explained.others(config.seed)},
        "likeness_to_random": explainer.likeness_to_random(explained.seen, explained.early, seed=config.seed),
        "truth": None if truth is None else agreement_with_truth(explainer, inputs, table, truth),
        "examples": {
            name: [explained_beat(explainer, inputs, row) for row in rows.iter_rows(named=True)]
            for name, rows in beats_to_show(table).items()
        },
    }
    return document, _contributions(attribution, cases)


def explainer_of(scorer: Scorer, rate_hz: int) -> Explainer:
    """Of beats of recordings at their common rate, as the configuration of the scorer says."""
    config = scorer.config
    before = samples_before(config.beats, rate_hz)
    return Explainer(scorer.detector, before, rate_hz, config.explanation.num_steps)


def beats_to_check(table: pl.DataFrame, size: int) -> pl.DataFrame:
    """Rows of `table` in its order: half of the flagged ones, half of the others, each drawn evenly by score."""
    ranked = table.with_row_index("place").sort(SCORE)
    flagged, others = ranked.filter("flagged"), ranked.filter(~pl.col("flagged"))
    wanted = min(max(size // 2, size - others.height), flagged.height)
    chosen = pl.concat([_evenly(flagged, wanted), _evenly(others, size - wanted)])
    return chosen.sort("place").drop("place")


def beats_to_show(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Typical beats of as many recordings as there are: abnormal ones that are flagged, or missed, and false alarms."""
    is_abnormal = pl.col("beat_class").is_in(("S", "V", "F"))
    return {
        "found": _typical(table.filter(is_abnormal, pl.col("flagged"))),
        "missed": _typical(table.filter(is_abnormal, ~pl.col("flagged"))),
        "false_alarms": _typical(table.filter(pl.col("beat_class") == "N", pl.col("flagged"))),
    }


def agreement_with_truth(
    explainer: Explainer, inputs: BeatInputs, table: pl.DataFrame, truth: pl.DataFrame
) -> dict[str, Any] | None:
    """Whether explanations find where generated beats differ, see `generator.Generated`; None without an abnormal beat.

    stretches: by class, which share of the heat, and of what raises the score by integrated gradients, lies in the
    stretches in which the beat differs, beside their share of the beat, with the gain over that. rhythm: which share
    of what raises the score is the rhythm's, in beats that differ in rhythm alone and in beats that come in time.
    """
    cases = _evenly(_matched(table, truth), _TRUTH_BEATS)
    if cases.is_empty():
        return None
    explained = _Explained(explainer, inputs, cases)
    raised = explained.by_sample.values.clip(min=0)
    in_shape, rhythm = raised[:, :-1], raised[:, -1] / np.maximum(raised.sum(1), 1e-12)
    shares = {HEAT: explained.heat, "gradients": in_shape / np.maximum(in_shape.sum(1, keepdims=True), 1e-12)}
    is_inside = np.array([_inside(row, explainer, in_shape.shape[1]) for row in cases.iter_rows(named=True)])
    kinds, is_early = cases["beat_class"].to_numpy(), cases["is_early"].to_numpy()
    has_shape = is_inside.any(1)
    return {
        "beats": cases.height,
        "stretches": {
            str(kind): _found_in(is_inside, shares, has_shape & (kinds == kind))
            for kind in np.unique(kinds[has_shape])
        },
        RHYTHM: {
            "rhythm_only": _mean(rhythm[~has_shape & is_early]),
            "in_time": _mean(rhythm[has_shape & ~is_early]),
        },
    }


class _Explained:
    """Some beats and all that is said of them."""

    def __init__(self, explainer: Explainer, inputs: BeatInputs, cases: pl.DataFrame) -> None:
        beats = cases["beat"].cast(pl.Int64).to_torch()
        self.explainer = explainer
        self.seen, self.early = inputs.gather(beats), inputs.early[beats]
        self.by_sample: Attribution = explainer.explain(self.seen, self.early)
        self.heat = heat(explainer.detector, self.seen)
        self.evidence = explainer.evidence(self.seen)

    def others(self, seed: int) -> Iterator[tuple[str, Faithfulness]]:
        """The same check of what else is shown, and of the mere difference from the usual beat."""
        found = {HEAT: self.heat, GRAD_CAM: self.evidence}
        found[DIFFERENCE_ALONE] = self.seen[:, DIFFERENCE].square().numpy()
        for name, values in found.items():
            attribution = self.explainer.alone(name, values)
            yield name, self.explainer.faithfulness(attribution, self.seen, self.early, seed=seed)


def explained_beat(explainer: Explainer, inputs: BeatInputs, row: Mapping[str, Any]) -> dict[str, Any]:
    """One beat in mV with its usual one, and at each sample what explanations say of it.

    row: of that beat, see `predictions.judged_beats`.
    """
    explained = _Explained(explainer, inputs, pl.DataFrame({"beat": [row["beat"]]}))
    chosen = torch.tensor([row["beat"]])
    kept = ("record", "beat_time", "beat_class", "flagged", "threshold", "p_value", "signal_quality")
    values = explained.by_sample.values[0]
    assert isinstance(explained.by_sample.base_value, np.ndarray)
    return {
        **{name: row[name] for name in (*kept, SCORE, "shape", "rhythm")},
        "base_value": float(explained.by_sample.base_value[0]),
        "beat_mv": inputs.windows.gather(chosen)[0].tolist(),
        "usual_mv": inputs.usual.median[inputs.usual.block[chosen]][0].tolist(),
        "heat": explained.heat[0].tolist(),
        "gradients": values[:-1].tolist(),
        "rhythm_gradient": float(values[-1]),
        "evidence": explained.evidence[0].tolist(),
    }


def _typical(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each class in turn one more recording, that with most such beats first; of it the beat of median score."""
    chosen = (
        rows.sort(SCORE, "beat")
        .group_by("beat_class", "record", maintain_order=True)
        .agg(pl.col("beat").get(pl.len() // 2), num=pl.len())
        .sort("num", "record", descending=[True, False])
        .with_columns(turn=pl.int_range(pl.len()).over("beat_class"))
        .sort("turn", "num", descending=[False, True], maintain_order=True)
        .head(_NUM_EXAMPLES)
    )
    return chosen.select("beat").join(rows, on="beat", how="left", maintain_order="left")


def _matched(table: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Beats of `table` of which the truth says something, with starts and ends of all stretches, s, and is_early."""
    has_wave = pl.col("part") != RHYTHM
    told = (
        truth.group_by("record", "beat_time", maintain_order=True)
        .agg(
            starts=pl.col("start").filter(has_wave),
            ends=pl.col("end").filter(has_wave),
            is_early=(~has_wave).any(),
        )
        .sort("beat_time")
    )
    return (
        table.filter(pl.col("beat_class") != "N")
        .sort("beat_time")
        .join_asof(
            told,
            on="beat_time",
            by="record",
            strategy="nearest",
            tolerance=_SAME_BEAT_S,
            check_sortedness=False,
        )
        .drop_nulls("is_early")
        .sort("beat")
    )


def _inside(row: Mapping[str, Any], explainer: Explainer, num_samples: int) -> np.ndarray:
    """Which samples of a beat lie in a stretch in which it differs, (L,)."""
    time = row["beat_time"] + (np.arange(num_samples) - explainer.before) / explainer.rate_hz
    inside = np.zeros(num_samples, dtype=bool)
    for start, end in zip(row["starts"], row["ends"], strict=True):
        inside |= (time >= start) & (time <= end)
    return inside


def _found_in(is_inside: np.ndarray, shares: Mapping[str, np.ndarray], chosen: np.ndarray) -> dict[str, Any]:
    stretch = is_inside[chosen].mean(1)
    found: dict[str, Any] = {"beats": int(chosen.sum()), "stretch": float(stretch.mean())}
    for name, values in shares.items():
        inside = (values[chosen] * is_inside[chosen]).sum(1)
        gain, low, high = mean_interval(inside - stretch, seed=0)
        found[name] = {"share": float(inside.mean()), "gain": gain, "low": low, "high": high}
    return found


def _contributions(attribution: Attribution, cases: pl.DataFrame) -> pl.DataFrame:
    num_parts = len(attribution.names)
    about = cases.select("beat", "record", "beat_time", "beat_class", "flagged")
    return about.select(pl.all().repeat_by(num_parts).explode()).with_columns(
        part=pl.Series(list(attribution.names) * cases.height, dtype=pl.String),
        contribution=pl.Series(attribution.values.astype(np.float64).ravel()),
    )


def _evenly(rows: pl.DataFrame, size: int) -> pl.DataFrame:
    places = np.linspace(0, rows.height - 1, min(size, rows.height)).round().astype(np.int64)
    return rows[places.tolist()]


def _mean(values: np.ndarray) -> dict[str, Any]:
    return {"beats": len(values), "share": float(values.mean()) if len(values) else None}
