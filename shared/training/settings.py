"""Every knob of `fit`, with its unit and reason."""

import hashlib
import json
import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

Precision = Literal["fp32", "bf16", "fp16"]
Tier = Literal["eager", "compile", "cuda_graph"]

# They decide how long a run may last and what it leaves on disk, never what it computes.
_OPERATIONAL = {"checkpoint_every_seconds", "keep_last", "max_seconds", "check_every_steps"}


class FitSettings(BaseModel):
    """How a network is trained. Frozen: a changed copy comes from `model_copy(update=...)`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(
        20, ge=1, description="passes over the training rows; also the length of the schedule"
    )
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of the schedule")
    rate_shares: dict[str, float] = Field(
        {},
        description="how parameters whose name begins so learn: as a share of learning_rate, above 0; of several "
        "beginnings the longest counts; sparse tables always learn at the full rate",
    )
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adamw",
        description="fused kernels where torch has them; embeddings with sparse=True by row, see row_adam.py",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only")
    weight_decay: float = Field(0.0, ge=0, description="decoupled for adamw, L2 for adam and sgd")
    decay_everything: bool = Field(
        False, description="decay also biases, norm scales and embeddings, which are left out by default"
    )
    schedule: Literal["constant", "cosine", "warmup_cosine", "one_cycle"] = Field(
        "constant", description="learning rate over optimiser steps, see schedules.py"
    )
    warmup_fraction: float = Field(
        0.05, ge=0, lt=1, description="share of all steps that warmup_cosine and one_cycle spend rising"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="largest global L2 norm of the gradient; None: no limit"
    )
    accumulate_steps: int = Field(1, ge=1, description="batches per optimiser step")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="per-step decay of the weight average that is validated and returned; reads and writes "
        "every weight in every step, sparse tables too",
    )

    monitor: str = Field(
        "loss",
        description="validation metric for early stopping and best weights; without validation: train_loss",
    )
    minimize: bool = Field(True, description="whether a lower monitored value is better")
    min_delta: float = Field(
        0.0, ge=0, description="smallest change of the monitored value that counts as better"
    )
    patience: int | None = Field(
        None, ge=1, description="epochs without improvement before stopping; None: never"
    )
    restore_best: bool = Field(
        True, description="return the weights of the best validated epoch, not of the last"
    )

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda when there is one")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="see runtime.choose_precision"
    )
    tier: Literal["auto", "eager", "compile", "cuda_graph"] = Field(
        "auto", description="see tiers.choose_tier"
    )
    num_threads: PositiveInt | Literal["auto"] = Field(
        "auto",
        description="CPU threads of one operation; auto: from the work of one step, see runtime.threads_for",
    )
    deterministic: bool = Field(
        False,
        description="deterministic kernels on cuda too (slower); CPU runs repeat bit for bit without it",
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of python, numpy and torch at the start of the run"
    )

    check_every_steps: int = Field(
        50, ge=1, description="optimiser steps between looks at the loss (each look waits for the device)"
    )
    max_seconds: float | None = Field(None, gt=0, description="wall time over all attempts; None: no limit")
    checkpoint_every_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints; 0: every step"
    )
    keep_last: int = Field(
        2, ge=2, description="checkpoints kept; at least two, so that one bad file loses little"
    )

    @field_validator("rate_shares")
    @classmethod
    def _above_zero(cls, shares: dict[str, float]) -> dict[str, float]:
        if any(not 0 < share < math.inf for share in shares.values()):
            raise ValueError(f"Expected shares of the learning rate above 0. Received {shares}.")
        return shares

    def fingerprint(self) -> str:
        """SHA-256 over what determines the result: runs may continue each other only when it is equal."""
        text = json.dumps(self.model_dump(mode="json", exclude=_OPERATIONAL), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
