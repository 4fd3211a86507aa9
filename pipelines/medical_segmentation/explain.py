"""What the evidence of a network says of test cases, and how far it can be trusted.

Grad-CAM is held against removing cells of the image in a random order, against networks of random weights, against what
somebody drew, and, of masks, against the mask itself, which costs nothing. The maps themselves are in `explainer`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.medical_segmentation.batches import scaled
from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.explainer import Explainer, Window
from pipelines.medical_segmentation.gallery import (
    RIGHT,
    TYPICAL,
    WORST,
    Picture,
    frame_window,
    grading_galleries,
    planes_of,
    segmentation_galleries,
    stored,
)
from pipelines.medical_segmentation.inference import Predictor
from pipelines.medical_segmentation.model import Grader
from shared.interpretability.grad_cam import ClassActivation
from shared.interpretability.ranks import mean_interval

if TYPE_CHECKING:
    from pipelines.medical_segmentation.score import Scorer

MASK_ALONE = "mask_alone"
DRAWN, FOUND = "drawn", "found"
_EXPLAINED = (TYPICAL, WORST, RIGHT)
NUM_EXPLAINED = 4
# Removing cells of volumes costs a second a case.
_MOST_VOLUMES = 10


def explain_test(
    scorers: Sequence["Scorer"], cases: Cases, table: pl.DataFrame
) -> tuple[dict[str, Any], pl.DataFrame]:
    """A document of plain values, and pictures of the cases that are shown (`gallery.stored`).

    scorers: of each fold, in their order; a case is shown as the one that has not seen it finds it, the checks are made
    on the test cases of the first. table: of all folds, see `predictions.predict_fold` and `grading.grade_fold`.
    """
    if scorers[0].config.task == "grading":
        return _explain_grades(scorers, cases, table)
    config, predictor = scorers[0].config, scorers[0].predictor
    transfers = cases.transfers(scorers[0].intensity)
    explainer = Explainer.of_masks(predictor.network, cases.num_channels)
    place = {name: case for case, name in enumerate(cases.names)}
    structure = {name: number for number, name in enumerate(cases.labels.names, start=1)}
    found = table.filter(pl.col("fold") == 0, pl.col("size_found") > 0)
    wanted = config.explanation.num_checked
    rows = _evenly(
        found.sort("confidence", "case", "structure"),
        min(wanted, _MOST_VOLUMES) if cases.dimensions == 3 else wanted,
    )
    asked = [
        Asked.of(predictor, cases, transfers, place[row["case"]], structure[row["structure"]])
        for row in rows.iter_rows(named=True)
    ]
    galleries = segmentation_galleries(table)
    document = _checks(explainer, [one for one in asked if one.found.any()], cases, config.seed)
    return document | {"galleries": galleries}, _found_pictures(scorers, cases, table, galleries)


def _explain_grades(
    scorers: Sequence["Scorer"], cases: Cases, table: pl.DataFrame
) -> tuple[dict[str, Any], pl.DataFrame]:
    config, place = scorers[0].config, {name: case for case, name in enumerate(cases.names)}
    folds = [(_grade_explainer(scorer, cases), cases.transfers(scorer.intensity)) for scorer in scorers]
    rows = table.filter(pl.col("fold") == 0).sort("mean_grade", "case")
    names = _evenly(rows, config.explanation.num_checked)["case"]
    asked = [Asked.whole(cases, folds[0][1], place[name]) for name in names]
    galleries = grading_galleries(table)
    fold_of = dict(table.select("case", "fold").rows())
    pictures: list[Picture] = []
    for name in _unique(galleries):
        explainer, transfers = folds[fold_of[name]]
        one = Asked.whole(cases, transfers, place[name])
        evidence = explainer.activation(one.seen[None]).map[0]
        pictures += planes_of(cases, one.case, transfers[one.case], evidence=evidence)
    return _checks(folds[0][0], asked, cases, config.seed) | {"galleries": galleries}, stored(pictures)


def evidence_of(scorer: "Scorer", cases: Cases, case: int, structure: int) -> np.ndarray | None:
    """Grad-CAM of one case, float32 of its grid: of a structure by its number, or of the grade whatever the number.

    None where the structure was not found.
    """
    transfers = cases.transfers(scorer.intensity)
    if scorer.config.task != "grading":
        return _evidence_of_mask(scorer.predictor, cases, transfers, case, structure)
    seen = Asked.whole(cases, transfers, case).seen
    return _grade_explainer(scorer, cases).activation(seen[None]).map[0]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What an explainer is asked about. seen: (channels, *size), see `Explainer.scored`. found: bool of the case's
    grid, what is explained; all of it for a grade."""

    case: int
    seen: Tensor
    window: Window
    found: np.ndarray

    @classmethod
    def of(
        cls, predictor: Predictor, cases: Cases, transfers: np.ndarray, case: int, structure: int
    ) -> "Asked":
        """A structure that was found in a case."""
        probabilities = predictor.find(cases.image(case), transfers[case], cases.frames[case]).probabilities
        found = probabilities.argmax(0) == structure
        window = Window.around(found, predictor.patch)
        weights = torch.zeros(probabilities[1:].shape)
        weights[structure - 1] = torch.from_numpy(found / max(1, found[window.inside].sum()))
        image = _scaled(cases, transfers, case)
        seen = torch.cat([window.cut(image, float(image.min())), window.cut(weights, 0.0)])
        return cls(case, seen, window, found)

    @classmethod
    def whole(cls, cases: Cases, transfers: np.ndarray, case: int) -> "Asked":
        """A picture, for its grade."""
        image = _scaled(cases, transfers, case)
        grid = cases.frames[case].grid
        everywhere = np.ones(grid, dtype=bool)
        return cls(case, image, Window.around(everywhere, grid), everywhere)


def _checks(explainer: Explainer, asked: Sequence[Asked], cases: Cases, seed: int) -> dict[str, Any]:
    """Everything that is measured of maps; without at least two cases there is nothing to check."""
    if len(asked) < 2:
        return {"cases": len(asked), "attribution": _unchecked(explainer), "layer": explainer.layer}
    seen = torch.stack([one.seen for one in asked])
    activation = explainer.activation(seen)
    attribution = explainer.checked(seen, activation.map, seed=seed)
    others = {}
    if seen.shape[1] > explainer.num_channels:
        alone = seen[:, explainer.num_channels :].sum(1).numpy()
        others[MASK_ALONE] = explainer.faithfulness(explainer.by_cell(alone), seen, seed=seed).to_json()
    return {
        "cases": len(asked),
        "attribution": attribution.to_json(),
        "layer": explainer.layer,
        "cells": attribution.values.shape[1],
        "others": others,
        "likeness_to_random": explainer.likeness_to_random(seen, seed=seed),
        "negative_share": float(np.median(activation.negative_share)),
        "inside": {
            DRAWN: _inside(activation, asked, cases, lambda one: cases.mask(one.case) > 0, seed),
            FOUND: _inside(activation, asked, cases, lambda one: one.found, seed) if others else None,
        },
    }


def _unchecked(explainer: Explainer) -> dict[str, Any]:
    return {
        "method": "Grad-CAM",
        "target": explainer.target,
        "unit": explainer.unit,
        "rows": 0,
        "completeness_error": None,
        "faithful": None,
        "warning": "The network found too little in the test cases to explain it.",
        "faithfulness": None,
    }


def _inside(
    activation: ClassActivation,
    asked: Sequence[Asked],
    cases: Cases,
    mask_of: Callable[[Asked], np.ndarray],
    seed: int,
) -> dict[str, Any] | None:
    """Mean share of a map that lies inside a mask, beside the share of the image that the mask takes; None where no
    case has both a map and a mask. Cases that are all mask say nothing."""
    shares, sizes = [], []
    for number, one in enumerate(asked):
        inner = frame_window(cases.frames[one.case])
        evidence = one.window.put_back(activation.map[number], cases.frames[one.case].grid)[inner]
        mask = mask_of(one)[inner]
        if evidence.sum() > 0 and 0 < mask.mean() < 1:
            shares.append(float(evidence[mask].sum() / evidence.sum()))
            sizes.append(float(mask.mean()))
    if not shares:
        return None
    gain, low, high = mean_interval(np.array(shares) - np.array(sizes), seed=seed)
    of_image = float(np.mean(sizes))
    return {"cases": len(shares), "share": float(np.mean(shares)), "of_image": of_image} | {
        "gain": gain,
        "low": low,
        "high": high,
    }


def _found_pictures(
    scorers: Sequence["Scorer"], cases: Cases, table: pl.DataFrame, galleries: Mapping[str, list[str]]
) -> pl.DataFrame:
    place = {name: case for case, name in enumerate(cases.names)}
    fold_of = dict(table.select("case", "fold").rows())
    explained = {name for key in _EXPLAINED for name in galleries.get(key, [])[:NUM_EXPLAINED]}
    transfers = [cases.transfers(scorer.intensity) for scorer in scorers]
    pictures: list[Picture] = []
    for name in _unique(galleries):
        case, fold = place[name], fold_of[name]
        predictor = scorers[fold].predictor
        found = predictor.find(cases.image(case), transfers[fold][case], cases.frames[case]).mask
        evidence = _evidence(predictor, cases, transfers[fold], case, found) if name in explained else None
        pictures += planes_of(cases, case, transfers[fold][case], found, evidence)
    return stored(pictures)


def _evidence(
    predictor: Predictor, cases: Cases, transfers: np.ndarray, case: int, found: np.ndarray
) -> np.ndarray | None:
    """Of the structure that takes most of a case, see `_evidence_of_mask`; None where nothing was found."""
    sizes = np.bincount(found.reshape(-1), minlength=2)[1:]
    if not sizes.any():
        return None
    return _evidence_of_mask(predictor, cases, transfers, case, 1 + int(sizes.argmax()))


def _evidence_of_mask(
    predictor: Predictor, cases: Cases, transfers: np.ndarray, case: int, structure: int
) -> np.ndarray | None:
    """Grad-CAM of a structure, float32 of the grid of its case; None where it was not found."""
    asked = Asked.of(predictor, cases, transfers, case, structure)
    if not asked.found.any():
        return None
    explainer = Explainer.of_masks(predictor.network, cases.num_channels)
    return asked.window.put_back(explainer.activation(asked.seen[None]).map[0], cases.frames[case].grid)


def _grade_explainer(scorer: "Scorer", cases: Cases) -> Explainer:
    assert isinstance(scorer.network, Grader), "a U-Net does not grade"
    return Explainer.of_grades(scorer.network, cases.num_channels, cases.frames[0].grid)


def _unique(galleries: Mapping[str, list[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in galleries.values() for name in names))


def _scaled(cases: Cases, transfers: np.ndarray, case: int) -> Tensor:
    return scaled(torch.from_numpy(cases.image(case))[None], torch.from_numpy(transfers[case])[None])[0]


def _evenly(rows: pl.DataFrame, size: int) -> pl.DataFrame:
    places = np.linspace(0, rows.height - 1, min(size, rows.height)).round().astype(np.int64)
    return rows[places.tolist()]
