"""What is said of explanations: on whom they were checked, against what, and who is shown by whose network."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from pipelines.medical_segmentation.explain import DRAWN, FOUND, MASK_ALONE, Asked, explain_test
from pipelines.medical_segmentation.explainer import UNIT, Explainer
from pipelines.medical_segmentation.gallery import RIGHT, TYPICAL, WORST, pictures_of
from pipelines.medical_segmentation.tasks import RESULTS
from shared.publishing.plain import plain


@pytest.fixture(scope="module")
def explained(judged):
    return explain_test([judged.fitted.scorer], judged.cases, judged.tables[RESULTS])


def shown(document) -> set[str]:
    return {name for names in document["galleries"].values() for name in names}


def test_document_says_how_far_the_maps_hold(explained, judged):
    document, _ = explained
    found = judged.tables[RESULTS].filter(pl.col("size_found") > 0).height
    assert document["attribution"]["rows"] == document["cases"]
    assert 2 <= document["cases"] <= min(judged.config.explanation.num_checked, found)
    assert document["attribution"]["unit"] == UNIT
    assert set(document["others"]) == {MASK_ALONE}
    assert -1 <= document["likeness_to_random"] <= 1
    assert 0 <= document["negative_share"] <= 1
    for name in (DRAWN, FOUND):
        inside = document["inside"][name]
        assert inside["gain"] == pytest.approx(inside["share"] - inside["of_image"], abs=1e-6)
        assert inside["low"] <= inside["gain"] <= inside["high"]
    assert json.loads(json.dumps(plain(document)))["layer"] == document["layer"]


def test_the_mask_alone_is_better_than_a_random_order(explained):
    # the log-odds of pixels depend on what is around them: a check that does not show this shows nothing
    assert explained[0]["others"][MASK_ALONE]["deletion_gain"]["value"] > 0


def test_every_case_that_is_shown_has_a_picture_and_some_have_evidence(explained):
    document, table = explained
    assert set(table["case"]) == shown(document)
    with_evidence = set(table.filter(pl.col("evidence").is_not_null())["case"])
    assert with_evidence <= {name for key in (TYPICAL, WORST) for name in document["galleries"][key][:4]}
    assert with_evidence


def test_the_same_cases_give_the_same_document(explained, judged):
    again, table = explain_test([judged.fitted.scorer], judged.cases, judged.tables[RESULTS])
    assert again == explained[0]
    assert table.equals(explained[1])


def test_a_case_is_shown_as_the_network_of_its_fold_finds_it(judged):
    scorer, table = judged.fitted.scorer, judged.tables[RESULTS]
    network = torch.nn.Module()
    network.forward = lambda images: torch.cat(
        [torch.ones_like(images[:, :1]), torch.zeros_like(images[:, :2])], 1
    )
    blind = SimpleNamespace(
        config=scorer.config, intensity=scorer.intensity, predictor=replace(scorer.predictor, network=network)
    )
    names = table["case"].unique(maintain_order=True).to_list()
    by_fold = table.with_columns(fold=pl.col("case").is_in(names[: len(names) // 2]).cast(pl.Int64))
    document, pictures = explain_test([scorer, blind], judged.cases, by_fold)
    of_blind = set(names[: len(names) // 2]) & shown(document)
    others = shown(document) - of_blind
    assert of_blind
    assert not any(one.found.any() for [one] in pictures_of(pictures, sorted(of_blind)))
    assert any(one.found.any() for [one] in pictures_of(pictures, sorted(others)))


def test_where_nothing_is_found_nothing_is_claimed(judged):
    table = judged.tables[RESULTS].with_columns(size_found=pl.lit(0.0))
    document, pictures = explain_test([judged.fitted.scorer], judged.cases, table)
    assert document["attribution"]["faithful"] is None
    assert "too little" in document["attribution"]["warning"]
    assert pictures.height


def test_volumes_are_explained_in_the_window_around_what_was_found(judged_volumes):
    scorer, cases = judged_volumes.fitted.scorer, judged_volumes.cases
    transfers, predictor = cases.transfers(scorer.intensity), scorer.predictor
    place = {name: case for case, name in enumerate(cases.names)}
    name = judged_volumes.tables[RESULTS].sort("size_found")["case"][-1]
    asked = Asked.of(predictor, cases, transfers, place[name], 1)
    assert asked.found.any()
    assert tuple(asked.seen.shape) == (1 + len(cases.labels), *predictor.patch)
    assert float(asked.seen[1].sum()) == pytest.approx(1.0, rel=1e-4)
    found = Explainer.of_masks(predictor.network, 1).activation(asked.seen[None])
    assert found.map.shape == (1, *predictor.patch)


def test_grades_are_explained_by_where_the_grader_saw_a_higher_one(graded):
    document, pictures = explain_test([graded.fitted.scorer], graded.cases, graded.tables[RESULTS])
    assert document["cases"] == min(graded.config.explanation.num_checked, len(graded.fold.test))
    assert document["attribution"]["target"] == "log-odds of a higher grade"
    assert document["others"] == {}
    assert set(document["galleries"]) == {WORST, RIGHT}
    assert set(pictures["case"]) == shown(document)
    assert pictures["evidence"].is_not_null().all()
    assert pictures["found"].is_null().all()
    evidence = np.frombuffer(pictures["evidence"][0], np.float32)
    assert (evidence >= 0).all()
