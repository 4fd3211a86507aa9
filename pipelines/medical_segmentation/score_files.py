"""Images in; masks, and one row for each of their structures, out: what `fieldwork score`, schedules and API run."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.medical_segmentation.case_files import CaseFolder
from pipelines.medical_segmentation.config import DataConfig
from pipelines.medical_segmentation.data import Manifest, load_manifest, read_studies
from pipelines.medical_segmentation.drawn import draw_outlines
from pipelines.medical_segmentation.score import PIPELINE, Scorer
from pipelines.medical_segmentation.studies import CONTRACT, OUTPUT_CONTRACT
from pipelines.medical_segmentation.tasks import task_of
from pipelines.medical_segmentation.watched import as_table, watched
from shared.contracts.contract import load
from shared.contracts.refused import Refused, without_refused
from shared.contracts.table import TableCheck, check_table
from shared.data.tables import write_table
from shared.errors import RequestError
from shared.orchestration.scoring import (
    ScoreSummary,
    beside,
    drift_since,
    published,
    require_input_untouched,
    written,
)

_NUM_REASONS = 3


def score_files(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    """Score an image, a folder of images or a manifest, one image at a time.

    Masks lie in `<output>.masks/`; with `explain`, pictures with their outlines in `<output>.outlines/`. Rows of the
    manifest that break the contract, and images that cannot be used, go with the reason to
    `<output>.quarantine.parquet`. Masks that come with the images are not looked at. Raises RequestError when no image
    can be used, when there is no such model, or when the input would be written over.
    """
    quarantine = beside(output_path, "quarantine")
    require_input_untouched(input_path, output_path, quarantine)
    bundle, number = published(PIPELINE, version)
    scorer = Scorer.from_bundle(bundle, number)
    manifest = to_score(input_path, scorer)
    checked = check_table(manifest.frame, load(CONTRACT))
    outlines = CaseFolder.beside(output_path, "outlines") if explain else None
    scored = _score_all(scorer, manifest, checked, CaseFolder.beside(output_path), outlines)
    results = check_table(scored.table(scorer, checked), load(OUTPUT_CONTRACT)).require()
    write_table(results, output_path)
    lost = without_refused(checked, scored.refused, key="case", rule="image").quarantined
    return ScoreSummary(
        pipeline=PIPELINE,
        version=number,
        contract=checked.contract.id_version,
        rows={
            "in": checked.num_rows,
            "quarantined": lost.height,
            "scored": len(scored.facts),
            "referred": results.filter("refer")["case"].n_unique(),
        },
        output=str(output_path),
        quarantine=written(lost, quarantine),
        explanations=str(outlines.path) if outlines else None,
        drift=drift_since(bundle, *as_table(scored.facts)),
    )


def to_score(path: Path, scorer: Scorer) -> Manifest:
    """The manifest of images to score, without masks that may lie beside them."""
    trained = scorer.config.data
    data = DataConfig(columns=trained.columns, max_pixels=trained.max_pixels, max_voxels=trained.max_voxels)
    # absolute, so that a file is never taken for a public set of the same name
    manifest = load_manifest(str(path.absolute()), data, seed=0)
    return replace(
        manifest,
        frame=manifest.frame.drop("mask", "shows_structure", "part", "grade", strict=False),
        labels=scorer.labels,
    )


@dataclass(slots=True)
class _Scored:
    """What was said of images, what of them is watched, and which could not be used."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def table(self, scorer: Scorer, checked: TableCheck) -> pl.DataFrame:
        """In the shape of `segmentation_results`."""
        whole = dict.fromkeys(("num_pixels", "num_components", "grade"), pl.Int64())
        numbers = dict.fromkeys(("area_mm2", "volume_ml", "referable_probability"), pl.Float64())
        types: dict[str, pl.DataType] = (
            whole | numbers | {"mask_file": pl.String(), "refer_reason": pl.String()}
        )
        return pl.DataFrame(self.rows, schema_overrides=types).with_columns(
            model_version=pl.lit(scorer.version),
            contract=pl.lit(checked.contract.id_version),
            scored_at=pl.lit(datetime.now(UTC)),
        )


def _score_all(
    scorer: Scorer, manifest: Manifest, checked: TableCheck, masks: CaseFolder, outlines: CaseFolder | None
) -> _Scored:
    """One image after another: memory is that of one image. Raises RequestError where none can be used."""
    valid, task, scored = checked.require(), task_of(scorer.config), _Scored()
    assert manifest.root is not None, "images to score come from files"
    for folder in filter(None, (masks, outlines)):
        folder.require_apart(manifest.root / name for name in valid["image"])
    for study in read_studies(manifest, valid, scorer.config.data):
        if isinstance(study, Refused):
            scored.refused.append(study)
            continue
        try:
            seen = scorer.place(study)
        except RequestError as error:
            scored.refused.append(Refused(study.case, str(error)))
            continue
        said = task.score(scorer, study, seen, masks)
        scored.rows += said.rows
        scored.facts.append(watched(seen.fingerprint, study.shape, study.spacing_mm, said.score))
        if outlines is not None:
            draw_outlines(scorer, study, said, outlines)
    if not scored.facts:
        reasons = map(str, scored.refused[:_NUM_REASONS])
        raise RequestError("\n".join(["Expected images that can be scored. Received none.", *reasons]))
    return scored
