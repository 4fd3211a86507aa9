"""What every model here can do: score the whole catalogue for some users, and say what a score rests on."""

from dataclasses import dataclass
from typing import Any, Protocol, Self

from torch import Tensor

from pipelines.recommender.histories import Histories


@dataclass(frozen=True, slots=True)
class Users:
    """Some users as models see them: what they have had and, for models with factors, their vectors.

    vectors: float32 of shape (users, width), or None for models that score from the history alone.
    """

    histories: Histories
    vectors: Tensor | None

    def __len__(self) -> int:
        return len(self.histories)

    def select(self, rows: Tensor) -> "Users":
        """Some of these users, in the order of `rows`."""
        return Users(self.histories.select(rows), None if self.vectors is None else self.vectors[rows])


@dataclass(frozen=True, slots=True)
class Contributions:
    """What scores are made of: values of shape (users, items, longest history), one for each place of
    `Histories.padded()`, and `base` of shape (users, items), which no item of the history accounts for.

    A row of values and its base add up to the score, up to the error that the method states.
    """

    values: Tensor
    base: Tensor


class Scoring(Protocol):
    """Whatever orders items. Scores order the items for one user; they do not compare between users or models."""

    @property
    def num_items(self) -> int:
        """Items that it can score: the first ones of the catalogue."""
        ...

    def known(self, histories: Histories, index: Tensor) -> Users:
        """Training users by index, with these histories."""
        ...

    def fold_in(self, histories: Histories, start: Tensor | None = None) -> Users:
        """Users of whom nothing but a history is known; `start` may hold vectors to begin with."""
        ...

    def scores(self, users: Users) -> Tensor:
        """float32 of shape (users, num_items), higher for what should rather be shown."""
        ...


class Ranker(Scoring, Protocol):
    """A fitted model: it can also say what a score rests on, and be saved."""

    def contributions(self, users: Users, items: Tensor) -> Contributions:
        """What the scores of `items`, int64 of shape (users, n), rest on."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything that was fitted."""
        ...

    def settings(self) -> dict[str, Any]:
        """Plain values from which, with the tensors, `restore` builds the same model."""
        ...

    @classmethod
    def restore(cls, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        """The opposite of `settings` and `tensors`."""
        ...
