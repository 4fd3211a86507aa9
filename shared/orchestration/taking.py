"""Scoring what is new in a folder: each item once, none half, and no item stops the others."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.data.files import atomic_folder
from shared.errors import RequestError, Stopped
from shared.orchestration.intake import MOST_ATTEMPTS, RECORD, Item, Records, Signature, now
from shared.orchestration.scoring import ScoreSummary

ScoreItem = Callable[[Path, Path], ScoreSummary]
"""`score(input, output)` writes a table, and beside it what goes with it."""

_ENDED = "The run ended during this item."


@dataclass(slots=True)
class Intake:
    """What a look into the folder came to: names of items, and the records of those that were scored."""

    scored: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    num_known: int = 0

    @property
    def sentence(self) -> str:
        """What happened, in one sentence."""
        groups: dict[str, Sequence[object]] = {
            "scored": self.scored,
            "set aside": self.refused,
            "failed and will be tried again": self.failed,
            "still being written": self.waiting,
        }
        said = [f"{len(items)} {what}" for what, items in groups.items() if items]
        return f"{', '.join(said) or 'No new data'} ({self.num_known} known before)."


def take_in(
    items: Sequence[Item], records: Records, score: ScoreItem, *, suffix: str, settle_seconds: float
) -> Intake:
    """Score what is new, into tables with this suffix.

    An item that changed less than `settle_seconds` ago, or changes meanwhile, is left for the next time. A
    RequestError of the scorer sets the item aside; after another error it is tried again, at most three times in all.
    No item stops the others; what asks the run to stop (Stopped, signals) does.
    """
    intake, digests = Intake(), records.digests()
    for item in items:
        try:
            if item.age_seconds() < settle_seconds:
                intake.waiting.append(item.name)
                continue
            signature, digest = item.signature(), digests.of(item)
        except FileNotFoundError:  # moved away since the folder was listed
            continue
        if records.settled(item, digest):
            intake.num_known += 1
        else:
            _Try(item, signature, digest, records, score, suffix).into(intake)
    digests.save()
    return intake


class _Changed(Exception):
    """The item was written to, or taken away, while it was scored."""


@dataclass(frozen=True, slots=True)
class _Try:
    """One item that is new."""

    item: Item
    signature: Signature
    digest: str
    records: Records
    score: ScoreItem
    suffix: str

    def into(self, intake: Intake) -> None:
        """Score it and note what came of it."""
        before = self.records.attempts(self.item, self.digest)
        last = before + 1 >= MOST_ATTEMPTS
        # Written first: a run that is killed by this very item must not try it for ever.
        self._note(before + 1, _ENDED, final=last)
        try:
            intake.scored.append(self._scored())
            self._forget(0)
        except _Changed:
            self._forget(0)
            intake.waiting.append(self.item.name)
        except Stopped:
            self._forget(before)
            raise
        except RequestError as error:
            intake.refused.append(self._note(before + 1, str(error), final=True, error=error))
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            noted = self._note(before + 1, message, final=last, error=error)
            (intake.refused if last else intake.failed).append(noted)
        except BaseException:
            self._forget(before)
            raise

    def _scored(self) -> dict[str, Any]:
        place = self.records.place(self.item, self.digest)
        with atomic_folder(place) as draft:
            try:
                summary = self.score(self.item.path, draft / f"scores{self.suffix}").model_dump(mode="json")
            except Stopped:
                raise
            except Exception:
                self._require_unchanged()  # half a file is a broken one: that is not its fault
                raise
            self._require_unchanged()
            for key in ("output", "quarantine", "explanations"):
                if summary.get(key):
                    summary[key] = os.path.relpath(summary[key], draft)
            found = {"item": self.item.name, "digest": self.digest, "scored_at": now(), "folder": str(place)}
            record = found | summary
            text = json.dumps(record, indent=2, allow_nan=False) + "\n"
            (draft / RECORD).write_text(text, encoding="utf-8")
        return record

    def _require_unchanged(self) -> None:
        with suppress(FileNotFoundError):
            if self.item.signature() == self.signature:
                return
        raise _Changed

    def _note(
        self, attempts: int, text: str, *, final: bool, error: Exception | None = None
    ) -> dict[str, Any]:
        noted = self.records.write_note(self.item, self.digest, attempts, text, final=final)
        return noted | {"error_type": type(error).__name__}

    def _forget(self, attempts: int) -> None:
        """This try says nothing against the item: earlier ones stay."""
        if attempts:
            self._note(attempts, _ENDED, final=False)
        else:
            self.records.note(self.item, self.digest).unlink(missing_ok=True)
