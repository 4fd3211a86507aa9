"""Results of test cases that travel with a model, so that a later one can be compared with it.

A served network may have learnt from every case, so it cannot be tested on any. What can be compared is what networks
said of patients whom they had not seen. Cases are named by a digest: whoever has the bundle alone learns no names.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.tasks import task_of
from shared.evaluation.compare import paired_bootstrap

TEST_RESULTS = "test_results.parquet"
_KEY = "digest"
# Less in common than this, and two models were not tested on the same question.
_LEAST_IN_COMMON = 0.5


def results_to_keep(results: pl.DataFrame, config: MedicalConfig) -> bytes:
    """One value a tested case, as a Parquet file; results: of all folds, see `tasks.Task.predict`."""
    file = io.BytesIO()
    _keyed(results, config).select(_KEY, "value").write_parquet(file)
    return file.getvalue()


def compare(mine: pl.DataFrame, theirs: pl.DataFrame, config: MedicalConfig) -> Mapping[str, Any] | None:
    """The difference of two models in the first headline, on the cases that both were tested on.

    mine: results of the challenger. theirs: what `results_to_keep` wrote for the champion. None where too few are in
    common. Patients are drawn anew.
    """
    task, known = task_of(config), _keyed(mine, config)
    both = known.join(theirs.rename({"value": "champion"}), on=_KEY, how="inner")
    if both.height < _LEAST_IN_COMMON * known.height:
        return None
    comparison = paired_bootstrap(
        task.statistic,
        both["truth"].to_numpy(),
        both["value"].to_numpy(),
        both["champion"].to_numpy(),
        name=task.headlines[0],
        groups=both["patient"].to_numpy(),
        higher_is_better=True,
        num_replicates=config.evaluation.num_bootstraps,
        seed=config.seed,
    )
    return comparison.to_json() | {"metric": task.headlines[0]}


def _keyed(results: pl.DataFrame, config: MedicalConfig) -> pl.DataFrame:
    table = task_of(config).by_case(results)
    digests = [hashlib.sha256(case.encode()).hexdigest()[:16] for case in table["case"]]
    return table.with_columns(pl.Series(_KEY, digests, dtype=pl.String))
