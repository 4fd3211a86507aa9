"""The autoencoder that also reads what the customer did before: evaluated beside the others, not served.

Features already sum up a customer's past; this asks whether the single transactions before say more. It reconstructs
the features of the newest transaction, so that its score is a mean of standardised errors as that of the autoencoder.
To serve it, bundle and state would have to keep the past twice as long, since features of earlier transactions look
back as well. And it gained nothing: on two folds of the Handbook's table that end on 2018-07-10, mean of three seeds,
average precision is 0.489, 0.501 and 0.507 with sequences of 2, 3 and 5 transactions, and 0.509 with the row alone
(2026-11). There a recurrent encoder (GRU, one seed) reached 0.344.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from pipelines.fraud_detection.model import SequenceAutoencoder
from pipelines.fraud_detection.protocol import Parts
from pipelines.fraud_detection.scaling import Scaling
from pipelines.fraud_detection.train import (
    MIN_MEAN_ERROR,
    ROWS_AT_ONCE,
    Trainer,
    not_known_as_fraud,
)
from pipelines.fraud_detection.windows import Clock, History, numbered
from shared.training.fit import FitResult
from shared.training.seeded import seeded


class Sequences:
    """The last transactions of customers, gathered by place from one matrix: no transaction is kept twice.

    table: transactions with features, in any order. Scaled features are cut to +- `limit`.
    """

    def __init__(self, table: pl.DataFrame, scaling: Scaling, length: int, limit: float) -> None:
        clock = Clock(table["time"].dt.timestamp("us").to_numpy())
        history = History(numbered(table["customer_id"]), clock)
        self._rows = scaling.transform(table, limit)[history.order]
        self._first = torch.from_numpy(np.searchsorted(history.member, history.member))
        self._ids = table.select("transaction_id")[history.order].with_row_index("place")
        self._length = length

    def places(self, frame: pl.DataFrame) -> Tensor:
        """Where the transactions of a part of the table are, int64 of shape (rows,)."""
        found = frame.select("transaction_id").join(
            self._ids, on="transaction_id", how="left", maintain_order="left"
        )
        return torch.tensor(found["place"].to_numpy(), dtype=torch.int64)

    def at(self, places: Tensor, limit: float) -> Tensor:
        """(B,) -> scaled features of the customer's last transactions, (B, N, I), the newest last, cut to +- limit.

        What comes before a customer's first transaction in the table is 0, the mean of genuine ones.
        """
        if places.device != self._rows.device:
            self._rows, self._first = self._rows.to(places.device), self._first.to(places.device)
        before = torch.arange(self._length - 1, -1, -1, device=places.device)
        wanted = places[:, None] - before
        is_missing = wanted < self._first[places][:, None]
        rows = self._rows[wanted.clamp(min=0)].clamp(-limit, limit)
        return rows.masked_fill(is_missing[..., None], 0.0)


def sequence_scores(trainer: Trainer, table: pl.DataFrame, parts: Parts) -> np.ndarray:
    """Scores of the test of a fold, float64 of shape (rows,): mean standardised error, 1 is usual for genuine rows.

    table: all transactions with features, of which those up to a longest window before the fold are read. As for the
    networks that are served, the validation fold says how many epochs are enough, then everything is fitted anew.
    """
    validation, longest = parts.validation, timedelta(days=trainer.config.features.windows_days[-1])
    assert validation is not None, "folds for validation have none of their own"
    begin = validation.fold.train_start - longest
    table = table.filter(pl.col("time").is_between(begin, parts.fold.test_end, closed="left"))
    chosen = _Stage(trainer, table, validation.train).fit("selection", stop_on=validation.test)
    stage = _Stage(trainer, table, parts.train)
    fitted = stage.fit("final", epochs=chosen.best_epoch + 1)
    return stage.scores(fitted.model, parts.test)


class _Stage:
    """Genuine transactions of a training week, their scaling, and the sequences that end with any transaction."""

    def __init__(self, trainer: Trainer, table: pl.DataFrame, training: pl.DataFrame) -> None:
        self._trainer, self._model = trainer, trainer.config.model
        genuine = not_known_as_fraud(training)
        scaling = Scaling.fit(genuine, trainer.names)
        limit = max(self._model.training_limit, self._model.scoring_limit)
        self._sequences = Sequences(table, scaling, self._model.sequence_length, limit)
        self._genuine = self._sequences.places(genuine)

    def fit(self, name: str, *, stop_on: pl.DataFrame | None = None, epochs: int | None = None) -> FitResult:
        """With validation transactions to stop on, or for a given number of epochs."""
        trainer, model, knobs = self._trainer, self._model, self._trainer.config.training
        network = seeded(
            trainer.config.seed,
            lambda: SequenceAutoencoder(
                len(trainer.names),
                model.sequence_length,
                model.hidden_sizes,
                model.code_size,
                num_members=model.num_members,
            ),
        )
        is_validated = stop_on is not None
        settings = trainer.settings(
            epochs or knobs.epochs, knobs.learning_rate, 0.0, knobs.patience, is_validated
        )
        validate = None if stop_on is None else self._validation(not_known_as_fraud(stop_on))
        return trainer.fit_network(
            network, self._loss, {"x": self._genuine}, settings, validate, f"{name}-sequence"
        )

    def scores(self, network: nn.Module, frame: pl.DataFrame) -> np.ndarray:
        """Mean standardised errors of transactions of the table."""
        usual = torch.cat(list(self._errors(network, self._genuine, self._model.training_limit))).mean(0)
        errors = self._errors(network, self._sequences.places(frame), self._model.scoring_limit)
        scores = [(part / usual.clamp(min=MIN_MEAN_ERROR)).mean(1) for part in errors]
        return torch.cat(scores).numpy()

    def _loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        assert isinstance(network, SequenceAutoencoder)
        return network.errors(self._sequences.at(batch["x"], self._model.training_limit)).mean()

    def _validation(self, frame: pl.DataFrame) -> Callable[[nn.Module], dict[str, float]]:
        places = self._sequences.places(frame)

        def validate(network: nn.Module) -> dict[str, float]:
            found = self._errors(
                network, places.to(next(network.parameters()).device), self._model.training_limit
            )
            return {"loss": float(torch.cat(list(found)).mean())}

        return validate

    def _errors(self, network: nn.Module, places: Tensor, limit: float) -> Iterator[Tensor]:
        """Squared errors of each feature, float64, some rows at once."""
        assert isinstance(network, SequenceAutoencoder)
        with torch.inference_mode():
            for part in places.split(ROWS_AT_ONCE):
                yield network.errors(self._sequences.at(part, limit)).double()
