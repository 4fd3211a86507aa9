"""What the steps pass on to each other, and how it is stored."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.ingest import Read
from pipelines.dqn_agent.score import Scorer
from pipelines.dqn_agent.train import Learnt
from shared.data.store import Ref, default_store
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import Evidence, Handle, Source, restored, stored_folder
from shared.publishing.plain import plain


class Ingested(IngestedTable):
    """A card that fits its environment. The table has it as its one row, with the settings of the environment."""

    card: Card

    @classmethod
    def from_card(cls, source: Source, read: Read, config: EnvironmentConfig) -> Self:
        """A checked card in the store."""
        settings = json.dumps(
            config.model_dump(mode="json", include={"parameters", "horizon"}), sort_keys=True
        )
        frame = read.checked.valid.with_columns(settings=pl.lit(settings))
        return cls.of(source, read.checked, frame, read.notes, card=read.card)


class Ruled(Handle):
    """Rules of thumb, the strongest last. episodes: of the test; timeline: one more of each, step by step."""

    descriptions: dict[str, str]
    episodes: Ref
    timeline: Ref


class Trained(Handle):
    """Weights of each seed in a folder, looks at them while they learnt, and the record of the training.

    selection: mean return of each on development episodes, in the order of the seeds.
    """

    seeds: tuple[int, ...]
    weights: Ref
    curves: Ref
    selection: tuple[float, ...]
    record: Ref

    @classmethod
    def of(cls, seeds: Sequence[int], learnt: Learnt) -> Self:
        """What was learnt, in the store."""
        store = default_store()

        def write(folder: Any) -> None:
            for seed, each in zip(seeds, learnt.weights, strict=True):
                save_file({name: value.contiguous() for name, value in each.items()}, folder / _file(seed))

        return cls(
            seeds=tuple(seeds),
            weights=stored_folder(write),
            curves=store.put_frame(learnt.curves),
            selection=tuple(learnt.selection[seed] for seed in seeds),
            record=store.put_json(plain(learnt.record)),
        )

    def by_seed(self) -> dict[int, dict[str, Tensor]]:
        """The stored weights."""
        with restored(self.weights) as folder:
            return {seed: load_file(folder / _file(seed)) for seed in self.seeds}


class Judged(Evidence):
    """The document of the evaluation with all test episodes; the served policy, and test states that it visited."""

    scorer: Ref
    states: Ref
    served_seed: int

    def visited(self) -> np.ndarray:
        """States of test episodes, (M, ...)."""
        with restored(self.states) as folder:
            return load_file(folder / _STATES)["states"].numpy()


class Varied(Handle):
    """The agent with other switches, learnt and judged like the one that is served."""

    variant: str
    trained: Trained
    judged: Judged


class Watched(Handle):
    """One episode of the served policy, step by step; film: where its environment draws itself."""

    timeline: Ref
    film: Ref | None


_STATES = "states.safetensors"


def _file(seed: int) -> str:
    return f"seed-{seed}.safetensors"


def stored_states(states: np.ndarray) -> Ref:
    """Observations in the store, as a folder of one file."""
    tensors = {"states": torch.from_numpy(np.ascontiguousarray(states))}
    return stored_folder(lambda folder: save_file(tensors, folder / _STATES))


@contextmanager
def opened(judged: Judged) -> Iterator[Scorer]:
    """The served policy, read from a scratch folder."""
    with restored(judged.scorer) as folder:
        yield Scorer.load(folder)
