"""What was scored with the models of a pipeline, when, and how it differed from the data of their training."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from shared.contracts.report import ContractBroken
from shared.data.home import home
from shared.publishing.history import History

if TYPE_CHECKING:
    from shared.orchestration.scoring import ScoreSummary


def score_log(pipeline: str) -> History:
    """The events `score` and `contract` of one pipeline, in the artifacts of this home."""
    return History(home().artifacts / "scores" / f"{pipeline}.jsonl")


def logged(pipeline: str, input_path: Path, score: Callable[[], "ScoreSummary"]) -> "ScoreSummary":
    """Call `score` and note what came of it: counts and drift, or the rules that the file breaks as a whole.

    Its place tells which file it was; no value of a row is noted.
    """
    file = {"input": input_path.name, "path": str(input_path.absolute())}
    try:
        summary = score()
    except ContractBroken as error:
        broken = [
            {"rule": each.rule, "column": each.column, "count": each.count} for each in error.violations
        ]
        score_log(pipeline).append("contract", **file, reason=str(error), broken=broken)
        raise
    facts = summary.model_dump(include={"version", "contract", "rows", "drift", "seconds"})
    score_log(pipeline).append("score", **file, **facts)
    return summary
