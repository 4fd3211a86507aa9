import numpy as np
import polars as pl
import pytest
from pydantic import BaseModel

from shared.data.home import Home, home
from shared.data.store import Ref
from shared.errors import RequestError
from shared.monitoring.profile import reference_profile
from shared.orchestration.bundled import reference_of, stored_bundle
from shared.orchestration.publish import publish_bundle, usual_checks
from shared.orchestration.scoring import drift_since, published
from shared.orchestration.stored import read_summary, restored
from shared.publishing.bundle import Bundle, BundleFacts
from shared.publishing.summary import RunSummary

DIGEST = "0" * 64
FACTS = BundleFacts(
    pipeline="widgets",
    source="synthetic",
    preset="tiny",
    contract="widgets@1.0.0",
    contract_digest=DIGEST,
    input_digest=DIGEST,
    code_digest=DIGEST,
    seed=7,
)
ATTRIBUTION = {"faithful": True, "warning": None}
SEEN = pl.DataFrame({"amount": np.linspace(0.0, 1.0, 400)})


class Config(BaseModel):
    preset: str = "tiny"
    layers: tuple[int, ...] = (8, 8)


@pytest.fixture
def summary() -> RunSummary:
    known = {"pipeline": "widgets", "preset": "tiny", "source": "synthetic", "contract": "widgets@1.0.0"}
    return RunSummary.model_validate(known | {"rows": {"in": 3}, "metrics": {}, "verdict": "It wins."})


@pytest.fixture
def stored(place: Home, summary: RunSummary) -> Ref:
    return stored_bundle(
        FACTS,
        summary,
        reference_profile(SEEN, SEEN["amount"].to_numpy()),
        config=Config(),
        metrics={"explanation": {"attribution": ATTRIBUTION}},
        tensors={"weight": np.ones(3, dtype=np.float32)},
        features=lambda folder: (folder / "columns.json").write_text('["amount"]'),
        model_card="# Widgets",
        report_html="<!doctype html>",
        files={"test_scores.csv": "score\n1\n"},
    )


def test_stored_bundle_has_the_model_the_summary_and_what_the_pipeline_adds(stored, summary):
    assert read_summary(stored) == summary
    with restored(stored) as folder:
        bundle = Bundle.open(folder)
        assert bundle.config == {"preset": "tiny", "layers": [8, 8]}
        assert bundle.text("test_scores.csv") == "score\n1\n"
        assert bundle.tensors()["weight"].tolist() == [1.0, 1.0, 1.0]
        assert reference_of(bundle).num_rows == len(SEEN)
    assert not list(home().cache.iterdir())


def test_published_bundle_is_found_by_alias_and_by_number(stored):
    publish_bundle(stored, history=[], compare=lambda *_: None, margin=0.0)
    for version in ("champion", "1"):
        bundle, number = published("widgets", version)
        assert (bundle.manifest.pipeline, number) == ("widgets", "1")
    assert usual_checks(bundle)["explanation_faithful"].passed
    with pytest.raises(RequestError):
        published("widgets", "2")


def test_drift_names_the_columns_that_differ_from_the_bundles_profile(stored):
    with restored(stored) as folder:
        bundle = Bundle.open(folder)
        scores = SEEN["amount"].to_numpy()
        assert drift_since(bundle, SEEN, scores) == {"drifted": False, "columns": []}
        moved = drift_since(bundle, SEEN + 10, scores)
        assert moved["drifted"]
        assert moved["columns"] == ["amount"]
        assert drift_since(bundle, SEEN[:0], scores[:0]) == {"drifted": False, "columns": []}
