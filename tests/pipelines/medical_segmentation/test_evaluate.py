"""A case counts once, absent structures are in no mean, the surest are kept first, and the verdict is earned."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.medical_segmentation.baselines import TITLES as BASELINES
from pipelines.medical_segmentation.config import tiny
from pipelines.medical_segmentation.evaluate import evaluation_document

NAN = float("nan")


def row(case: int, dice: float, confidence: float = 0.9, **changes: Any) -> dict[str, Any]:
    absent = np.isnan(dice)
    plain = {
        "fold": 0, "case": f"c{case:02d}", "patient": f"p{case // 2}", "structure": "polyp", "dice": dice,
        "iou": dice / (2 - dice), "hd95": NAN if absent else 10 * (1 - dice), "nsd": dice,
        "size_truth": 0.0 if absent else 100.0, "size_found": 90.0, "unit": "mm2", "confidence": confidence,
        "referred": confidence < 0.5, **dict.fromkeys(BASELINES, NAN if absent else 0.2),
    }  # fmt: skip
    return plain | changes


def document(rows: list[dict[str, Any]], probability: float = 0.9) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    pixels = pl.DataFrame(
        {
            "case": [row["case"] for row in rows for _ in range(50)],
            "patient": [row["patient"] for row in rows for _ in range(50)],
            "probability": np.full(50 * len(rows), probability),
            "is_structure": (rng.random(50 * len(rows)) < probability).astype(np.int64),
        }
    )
    return evaluation_document(pl.DataFrame(rows), pixels, tiny())


SURE = [row(case, 0.5 + 0.02 * case, 0.2 + 0.03 * case) for case in range(20)]


def test_means_and_intervals_are_over_cases():
    found = document(SURE)["metrics"]["network"]
    assert found["test/dice"]["value"] == pytest.approx(np.mean([one["dice"] for one in SURE]))
    assert found["test/dice"]["low"] < found["test/dice"]["value"] < found["test/dice"]["high"]
    assert found["test/dice"]["n"] == 10, "patients are drawn, not cases"
    assert found["test/hd95"]["unit"] == "mm"
    assert found["test/hd95"]["higher_is_better"] is False
    assert found["test/size_error"]["value"] == pytest.approx(0.1)


def test_absent_structures_are_in_no_mean_and_counted_apart():
    absent = [row(20, NAN), row(21, NAN, size_found=0.0)]
    found = document([*SURE, *absent])
    assert (
        found["metrics"]["network"]["test/dice"]["value"]
        == document(SURE)["metrics"]["network"]["test/dice"]["value"]
    )
    assert found["metrics"]["network"]["test/found_where_absent"]["value"] == 0.5
    assert found["counts"] == {"cases": 22, "patients": 11, "shown": 20, "empty": 2}


def test_a_case_with_two_structures_counts_once():
    both = [row(case, 0.8, structure=name) for case in range(6) for name in ("a", "b")]
    single = [row(case, 0.2, structure="a") for case in range(6, 12)]
    found = document([*both, *single])
    assert found["metrics"]["network"]["test/dice"]["value"] == pytest.approx(0.5)
    assert found["per_structure"]["a"]["cases"] == 12
    assert found["per_structure"]["b"]["dice"]["network"]["value"] == pytest.approx(0.8)


def test_keeping_the_surest_is_better_than_chance_and_never_better_than_the_best_order():
    curve = document(SURE)["referral"]
    assert [point["dice"] for point in curve] == sorted(point["dice"] for point in curve)
    for point in curve[1:]:
        assert point["random"] < point["dice"] <= point["best"] + 1e-12
    worst = [row(case, one["dice"], 1 - one["confidence"]) for case, one in enumerate(SURE)]
    assert document(worst)["referral"][-1]["dice"] < document(worst)["referral"][0]["dice"]


def test_the_share_referred_and_the_dice_of_the_others_are_said():
    found = document(SURE)["metrics"]["network"]
    kept = [one["dice"] for one in SURE if not one["referred"]]
    assert found["test/referred"]["value"] == pytest.approx(1 - len(kept) / len(SURE))
    assert found["test/dice_kept"]["value"] == pytest.approx(np.mean(kept))


def test_worst_cases_come_first():
    assert document(SURE)["worst"][:3] == ["c00", "c01", "c02"]
    assert len(document(SURE)["worst"]) == 10


def test_of_cases_that_were_missed_the_largest_comes_first():
    missed = [row(20, 0.0, size_truth=50.0), row(21, 0.0, size_truth=300.0)]
    both = [row(22, 0.0, size_truth=size, structure=name) for name, size in (("a", 200.0), ("b", 250.0))]
    assert document([*SURE, *missed, *both])["worst"][:4] == ["c22", "c21", "c20", "c00"]


def test_probabilities_that_come_true_have_no_calibration_error():
    calm = document(SURE, probability=0.7)
    assert calm["metrics"]["network"]["test/ece"]["value"] < 0.05


@pytest.mark.parametrize(
    ("rival", "words"),
    [(0.2, "beats"), (0.69, "within noise"), (0.95, "worse than")],
    ids=["weak", "equal", "strong"],
)
def test_the_verdict_names_every_rival(rival, words):
    rng = np.random.default_rng(1)
    rows = [one | dict.fromkeys(BASELINES, float(np.clip(rival + rng.normal() * 0.1, 0, 1))) for one in SURE]
    sentence = document(rows)["verdict"]["sentence"]
    assert words in sentence
    assert "brightness threshold" in sentence


def test_without_any_structure_the_numbers_are_undefined_with_a_reason():
    nothing = document([row(case, NAN) for case in range(6)])
    found = nothing["metrics"]["network"]["test/dice"]
    assert found["value"] is None
    assert "no test case shows" in found["reason"]
    assert nothing["referral"] == nothing["worst"] == []
