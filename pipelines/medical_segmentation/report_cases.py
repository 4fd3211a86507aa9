"""The parts of the report about single cases: how good they are, how large structures are, whom a human must see."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.evaluate import NETWORK, TITLES
from pipelines.medical_segmentation.evidence import EvidenceDocuments
from pipelines.medical_segmentation.figures import (
    dice_by_case,
    limits_of_agreement,
    referral_curve,
    size_agreement,
)
from pipelines.medical_segmentation.gallery import per_case
from pipelines.medical_segmentation.wording import UNITS, cell, number, share
from shared.publishing.blocks import Block, Column, Figure, Paragraph, Section, Table, Value, estimate, show
from shared.publishing.figures import reliability

_GOOD, _POOR = 0.9, 0.5
# Fewer calibration cases than this beyond a threshold do not fix it.
_FEW_REFERRED = 5


def cases_section(config: MedicalConfig, evidence: EvidenceDocuments) -> Section:
    """Dice of every case, by structure, and how well sizes agree."""
    cases = per_case(evidence.results)
    blocks: list[Block] = [
        Paragraph(_spread_text(cases, evidence.evaluation["counts"])),
        Figure(
            dice_by_case(cases),
            "Left: how many cases have which Dice; the line is the median. Right: every case, from the worst to the "
            "best. Orange: cases that the threshold fixed before the test refers to a human.",
            "Dice of single cases",
            wide=True,
        ),
        _structures_table(config, evidence),
        Figure(
            size_agreement(evidence.results),
            "Left: found against drawn sizes; on the dashed line they agree. Right: their difference over their mean "
            "(Bland and Altman 1986) with the mean difference and the limits between which 95 % lie.",
            "Found and drawn sizes",
            wide=True,
        ),
    ]
    text = _size_text(evidence)
    return Section("Case by case", [*blocks, Paragraph(text)] if text else blocks)


def _spread_text(cases: pl.DataFrame, counts: Mapping[str, Any]) -> str:
    """How cases lie about their median."""
    if cases.is_empty():
        return "No test case shows a structure."
    dice = cases["dice"].to_numpy()
    first, median, third = np.quantile(dice, [0.25, 0.5, 0.75])
    text = (
        f"The mean hides the single case. Of {len(dice):,} cases that show a structure the median Dice is "
        f"{median:.2f}; the middle half lies from {first:.2f} to {third:.2f}. "
        f"{share(float((dice >= _GOOD).mean()), 0)} reach {_GOOD:g}, {share(float((dice < _POOR).mean()), 0)} stay "
        f"below {_POOR:g}, and in {int((dice == 0).sum()):,} nothing of the structure was found."
    )
    if counts["empty"]:
        text += (
            f" {counts['empty']:,} more cases show none: they have no Dice, and count in the share of structures found "
            "where nobody drew one."
        )
    return text


def _structures_table(config: MedicalConfig, evidence: EvidenceDocuments) -> Table:
    unit = evidence.evaluation["length_unit"]
    rows: list[list[Value]] = []
    for name, facts in evidence.evaluation["per_structure"].items():
        rivals = {model: metric for model, metric in facts["dice"].items() if model != NETWORK}
        best = max(rivals, key=lambda model: rivals[model]["value"] or 0.0)
        rows.append(
            [
                name,
                facts["cases"],
                cell(facts["dice"][NETWORK]),
                f"{estimate(rivals[best])}\n{TITLES[best]}",
                cell(facts["hd95"]),
            ]
        )
    columns: list[Column | str] = [
        "Structure",
        Column("Cases that show it", number=True),
        Column("Dice\nhigher is better", number=True),
        Column("Best baseline", number=True),
        Column(f"Hausdorff, 95 %\n{unit}, lower is better", number=True),
    ]
    notes = [
        "Measured at the size of the file. Where nobody drew a structure it has no Dice, rather than 0 or 1. One that "
        "was missed wholly counts with a Dice of 0 and a Hausdorff distance of the diagonal of the image. The "
        f"normalised surface distance counts outlines within {config.evaluation.tolerance_mm:g} {unit} as right."
    ]
    return Table(columns, rows, "By structure", notes)


def _size_text(evidence: EvidenceDocuments) -> str:
    limits = limits_of_agreement(evidence.results)
    if limits is None:
        return ""
    mean, low, high = (_signed(value) for value in limits)
    unit = UNITS[evidence.evaluation["size_unit"]]
    return (
        f"On average the found size differs from the drawn one by {mean} {unit}, for 95 % of the structures by {low} "
        f"to {high} {unit}. Differences of that width between two images of a patient may be no change at all."
    )


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def referral_section(config: MedicalConfig, evidence: EvidenceDocuments) -> Section:
    """What is kept when the least sure cases are referred, and whether probabilities can be believed."""
    metrics, calibrated = evidence.evaluation["metrics"][NETWORK], evidence.calibrated
    referred, kept = metrics["test/referred"], metrics["test/dice_kept"]
    known = referred["value"] is not None and kept["value"] is not None
    measured = (referred["value"], kept["value"]) if known else None
    blocks: list[Block] = [Paragraph(_referral_text(config, evidence))]
    blocks.append(
        Figure(
            referral_curve(evidence.evaluation["referral"], measured),
            "Mean Dice of the cases that are kept, least sure referred first. The nearer to the best order, the better "
            "confidence knows where the network errs. The dot is what the threshold did on the test cases.",
            "Dice of what is kept against the share referred",
        )
    )
    if evidence.pixels is not None:
        blocks.append(
            Figure(
                reliability(evidence.pixels["is_structure"], evidence.pixels["probability"]),
                _reliability_text(metrics["test/ece"], evidence.evaluation["ece_noise_floor"], calibrated),
                "Observed share of structure over predicted probability of pixels",
            )
        )
    return Section("Which cases must a human look at", blocks)


def _referral_text(config: MedicalConfig, evidence: EvidenceDocuments) -> str:
    metrics = evidence.evaluation["metrics"][NETWORK]
    views = config.inference_of(evidence.cases.dimensions).views
    text = (
        f"Each image is seen in {views} mirrored views; how far their masks agree is the confidence. "
        if views > 1
        else "Confidence is how far the mask of an image agrees with its probabilities (Dice). "
    )
    promised = config.inference.refer_share
    text += f"The threshold was set so that {share(promised, 0)} of the calibration cases are referred"
    num = evidence.calibrated["num_cases"] if evidence.calibrated else 0
    text += f"; {num:,} cases are few for that. " if num * promised < _FEW_REFERRED else f", of {num:,}. "
    referred, kept, dice = (metrics[f"test/{name}"] for name in ("referred", "dice_kept", "dice"))
    text += f"Of the test cases {share(referred['value'])} were referred"
    if kept["value"] is None:
        return f"{text}."
    return f"{text}; the others have a mean Dice of {estimate(kept)}, all together {estimate(dice)}."


def _reliability_text(
    ece: Mapping[str, Any], noise_floor: float, calibrated: Mapping[str, Any] | None
) -> str:
    text = (
        f"Pixels of test cases: on the diagonal, a probability can be taken at its word. The calibration error is "
        f"{estimate(ece)}; perfect probabilities would show {show(float(noise_floor), 3)} with as many pixels. "
        "Neighbouring pixels say the same, so the bars are too short."
    )
    if calibrated is not None:
        text += f" Logits were divided by {calibrated['temperature']:.2f}, fixed on calibration cases."
    return text
