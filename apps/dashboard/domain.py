"""What a page says about its pipeline; everything that pages have alike follows from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pipelines import catalogue

if TYPE_CHECKING:
    from apps.dashboard.published import Model
    from shared.contracts.contract import Contract
    from shared.orchestration.scoring import ScoreSummary
    from shared.publishing.bundle import Bundle

Scorer = TypeVar("Scorer")

# Suffixes that may be uploaded where a table is asked for.
TABLES = ("csv", "tsv", "txt", "jsonl", "parquet", "gz")


class ScoreFile(Protocol):
    """The scoring of a pipeline, without its flow: a file or folder in, tables beside `output_path` out."""

    def __call__(
        self, input_path: Path, output_path: Path, *, version: str, explain: bool
    ) -> "ScoreSummary": ...


@dataclass(frozen=True, slots=True)
class Domain(Generic[Scorer]):
    """A pipeline as its page sees it.

    titles: metrics to show, in order, with their names for people; the first four become cards.
    baselines: names for people of what the model is compared with.
    load: the scorer of a verified bundle; imports what it needs itself, since torch costs seconds.
    score: the pipeline's scoring of a file.
    accepts: suffixes of files that may be uploaded, without the dot.
    several: whether one upload may be several files; they are then scored as a folder.
    example: writes an input into an empty folder and returns its path: something to try the page with; `example_title`
        says what it is.
    contract: what the files must hold, where it depends on the model; else the pipeline's input contract.
    explains: whether scoring a file may explain each row.
    """

    pipeline: str
    titles: Mapping[str, str]
    load: Callable[["Bundle", str], Scorer]
    score: ScoreFile
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

    def key(self, name: str) -> str:
        """A key for widgets and session state that no other page uses."""
        return f"{self.pipeline}/{name}"


AnyDomain = Domain[Any]
