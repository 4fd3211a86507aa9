"""The scorer gives what the evaluation gave, comes back from its folder, and is refused when somebody changed it."""

import json
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.score import Scorer
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.errors import RequestError


@pytest.fixture
def folder(judged, tmp_path) -> Path:
    judged.scorer.save(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def detected(judged) -> Recordings:
    scorer = judged.scorer
    return Recordings.of(judged.generated.records[:3], scorer.config.signal, scorer.beats)


def test_scores_of_test_beats_are_those_of_the_evaluation(judged):
    scored = judged.scorer.score_recordings(judged.recordings)
    both = scored.join(judged.table, on="beat", suffix="_evaluated")
    assert both.height == judged.table.height
    for name in ("score", "threshold", "p_value"):
        np.testing.assert_allclose(both[name], both[f"{name}_evaluated"], rtol=1e-5, err_msg=name)
    assert both["flagged"].equals(both["flagged_evaluated"])


def test_scores_of_a_recording_do_not_depend_on_the_others(judged, detected):
    scorer = judged.scorer
    alone = Recordings.of(judged.generated.records[1:2], scorer.config.signal, scorer.beats)
    together = scorer.score_recordings(detected).filter(record=alone.names[0])
    np.testing.assert_allclose(scorer.scores(alone), together["score"], rtol=1e-5)


def test_a_scorer_comes_back_from_its_folder_as_it_was(judged, folder, detected):
    back = Scorer.load(folder, "7")
    assert back.version == "7"
    assert np.array_equal(back.scores(detected), judged.scorer.scores(detected))
    assert back.thresholds.to_json() == judged.fitted.thresholds.to_json()
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"config.json", "model.safetensors", "features/thresholds.json"}


def test_loading_does_not_touch_the_random_state(folder):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Scorer.load(folder)
    assert torch.equal(torch.rand(1), expected)


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def without(prefix: str) -> object:
    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        save_file({name: one for name, one in load_file(path).items() if not name.startswith(prefix)}, path)

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"detector": 1}))


def other_network(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["model"]["channels"] = 16
    (folder / "config.json").write_text(json.dumps(config))


def unknown_knob(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"surprise": 1}))


@pytest.mark.parametrize(
    "change",
    [cut_off, pickled, without("thresholds."), without("detector.rhythm"), other_network, unknown_knob,
     lambda folder: (folder / "model.safetensors").unlink()],
    ids=["cut-off", "pickled", "no-thresholds", "no-tail", "other-network", "unknown-knob", "no-weights"],
)  # fmt: skip
def test_a_folder_that_somebody_changed_is_refused_with_the_way_out(folder, change):
    change(folder)
    with pytest.raises(RequestError, match=r"Train it again\."):
        Scorer.load(folder)


@pytest.fixture(scope="module")
def alerts(judged, detected) -> pl.DataFrame:
    scorer = judged.scorer
    rates = dict.fromkeys(detected.names, 720.0)
    return scorer.alerts(detected, scorer.score_recordings(detected), rates, explain=True)


def test_alerts_keep_their_contract(alerts, detected):
    assert check_table(alerts, load("ecg_alerts")).require().height == len(detected.beats)
    numbers = alerts.group_by("record").agg(
        pl.col("beat").min().alias("first"), pl.col("beat").max(), pl.len()
    )
    assert (numbers["first"] == 1).all()
    assert numbers["beat"].equals(numbers["len"].cast(pl.Int64))
    assert alerts["beat_class"].drop_nulls().is_in(["N", "S", "V", "F", "Q"]).all()


def test_r_peaks_are_counted_at_the_rate_of_the_recorder(alerts):
    np.testing.assert_allclose(alerts["r_sample"], alerts["beat_time"] * 720, atol=0.51)


def test_flagged_beats_alone_have_heat_whose_shares_add_up(alerts, judged):
    assert alerts["heat"].is_not_null().equals(alerts["flagged"])
    assert alerts["flagged"].any()
    for text in alerts["heat"].drop_nulls():
        heat = json.loads(text)
        assert (heat["from"], heat["rate"]) == (-90, 360)
        assert len(heat["values"]) == judged.config.beats.num_samples
        assert min(heat["values"]) >= 0
        # each share is rounded to four digits
        assert sum(heat["values"]) == pytest.approx(1, abs=0.02)


def test_without_a_conformal_threshold_there_is_no_p_value(judged, detected):
    scorer = judged.scorer
    rule = scorer.thresholds.config.model_copy(update={"rule": "three_deviations"})
    thresholds = type(scorer.thresholds)(rule, scorer.thresholds.everybody, None, 0.0)
    other = Scorer(scorer.config, scorer.detector, thresholds)
    rates = dict.fromkeys(detected.names, 360.0)
    table = other.alerts(detected, other.score_recordings(detected), rates, explain=False)
    assert table["p_value"].null_count() == table["heat"].null_count() == table.height
