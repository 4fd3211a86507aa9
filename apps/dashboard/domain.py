"""What a page says about its pipeline; everything that pages have alike follows from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from apps.dashboard.imports import imported
from apps.dashboard.manifests import to_score
from pipelines import catalogue

if TYPE_CHECKING:
    from apps.dashboard.published import Model
    from shared.contracts.contract import Contract
    from shared.orchestration.scoring import ScoreSummary
    from shared.publishing.bundle import Bundle

Scorer = TypeVar("Scorer")

# Suffixes that may be uploaded where a table is asked for.
TABLES = ("csv", "tsv", "txt", "jsonl", "parquet", "gz")


@dataclass(frozen=True, slots=True)
class Domain(Generic[Scorer]):
    """A pipeline as its page sees it.

    titles: metrics to show, in order, with their names for people; the first four become cards.
    baselines: names for people of what the model is compared with.
    accepts: suffixes of files that may be uploaded, without the dot.
    several: whether one upload may be several files; they are then scored as a folder, by the pipeline's `score_files`.
    example: writes an input into an empty folder and returns its path: something to try the page with; `example_title`
        says what it is.
    contract: what the files must hold, where it depends on the model; else the pipeline's input contract.
    explains: whether scoring a file may explain each row.
    """

    pipeline: str
    titles: Mapping[str, str]
    baselines: Mapping[str, str] = field(default_factory=dict)
    accepts: tuple[str, ...] = TABLES
    several: bool = False
    example: "Callable[[Model, Path], Path] | None" = None
    example_title: str = "generated example data"
    contract: "Callable[[Model], Contract] | None" = None
    explains: bool = True

    @property
    def entry(self) -> catalogue.Pipeline:
        """The pipeline's entry in the catalogue: title, question, contracts."""
        return catalogue.find(self.pipeline)

    def load(self, bundle: "Bundle", version: str) -> Scorer:
        """The pipeline's scorer of a verified bundle. The first call imports torch, which takes seconds."""
        return cast(Scorer, self._module("score").Scorer.from_bundle(bundle, version))

    def score(self, input_path: Path, output_path: Path, *, version: str, explain: bool) -> "ScoreSummary":
        """The pipeline's scoring without its flow: a file or folder in, tables beside `output_path` out."""
        if self.several:
            score_file, source = self._module("score_files").score_files, to_score(input_path)
        else:
            score_file, source = self._module("score_table").score_table, input_path
        return cast("ScoreSummary", score_file(source, output_path, version=version, explain=explain))

    def key(self, name: str) -> str:
        """A key for widgets and session state that no other page uses."""
        return f"{self.pipeline}/{name}"

    def _module(self, name: str) -> Any:
        """A module of the pipeline; only what is used is imported, since torch costs seconds."""
        return imported(f"{self.entry.module}.{name}")


AnyDomain = Domain[Any]
