"""The flows of a pipeline, and how applications call them.

Prefect reads its settings once, at import; whoever takes `flow` from here has it pointed at the data home before that,
and never writes elsewhere.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from shared.orchestration.server import configure as configure_prefect

configure_prefect()

from prefect import flow  # noqa: E402

from shared.orchestration.overrides import Config, Configure  # noqa: E402
from shared.orchestration.run import run_flow, timed_score  # noqa: E402
from shared.orchestration.score_log import logged  # noqa: E402
from shared.orchestration.scoring import ScoreSummary  # noqa: E402
from shared.publishing.summary import RunSummary  # noqa: E402

__all__ = ["RunFunction", "ScoreFunction", "flow", "run_of", "score_of"]


class RunFunction(Protocol):
    """Train, evaluate, explain and publish: what the command line and the schedules call."""

    def __call__(
        self,
        preset: str,
        source: str,
        overrides: Mapping[str, Any],
        *,
        use_cache: bool = True,
        progress: bool = False,
    ) -> RunSummary: ...


class ScoreFunction(Protocol):
    """Score a file with a published model; what else there is to keep lies beside the output."""

    def __call__(
        self, input_path: Path, output_path: Path, *, version: str = "champion", explain: bool = False
    ) -> ScoreSummary: ...


def run_of(train: Callable[[str, Config], RunSummary], configure: Configure[Config]) -> RunFunction:
    """`run` of a pipeline: its training flow with the configuration that `configure` gives."""

    def run(
        preset: str,
        source: str,
        overrides: Mapping[str, Any],
        *,
        use_cache: bool = True,
        progress: bool = False,
    ) -> RunSummary:
        config = configure(preset, source, overrides)
        return run_flow(train, source, config, use_cache=use_cache, progress=progress)

    return run


def score_of(pipeline: str, score_file: Callable[..., ScoreSummary]) -> ScoreFunction:
    """`score` of a pipeline: `score_file(input_path, output_path, version=, explain=)` as a flow, noted in its log."""
    scoring = flow(name=f"{pipeline}-score", persist_result=False, validate_parameters=False)(score_file)

    def score(
        input_path: Path, output_path: Path, *, version: str = "champion", explain: bool = False
    ) -> ScoreSummary:
        return logged(
            pipeline,
            input_path,
            lambda: timed_score(lambda: scoring(input_path, output_path, version=version, explain=explain)),
        )

    return score
