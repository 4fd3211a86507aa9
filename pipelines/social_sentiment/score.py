"""The only scoring code: evaluation, batch flow, API and dashboard all call `Scorer`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.social_sentiment.calibrate import Calibration
from pipelines.social_sentiment.config import SentimentConfig
from pipelines.social_sentiment.model import Classifier
from pipelines.social_sentiment.prevalence import METHOD, estimated
from pipelines.social_sentiment.schema import input_contract, probability_column
from pipelines.social_sentiment.text import prepare
from pipelines.social_sentiment.tokens import Tokens
from pipelines.social_sentiment.train import Trained, logits_of, rebuilt
from shared.publishing.bundle_files import read_config

if TYPE_CHECKING:
    from shared.publishing.bundle import Bundle

PIPELINE = "social_sentiment"
_FACTS, _TOKENIZER, _ENCODER = "scorer.json", "tokenizer.json", "encoder.json"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """A fitted network with all that leads from posts to what is said of them.

    labels: names, in the order of logits. encoder: configuration of a pretrained encoder, None for our own.
    """

    config: SentimentConfig
    labels: tuple[str, ...]
    network: Classifier
    tokens: Tokens
    encoder: dict[str, Any] | None
    calibration: Calibration
    version: str = "not registered"

    @classmethod
    def of(
        cls, trained: Trained, calibration: Calibration, labels: Sequence[str], config: SentimentConfig
    ) -> Self:
        """The scorer of a trained network."""
        return cls(config, tuple(labels), trained.network, trained.tokens, trained.encoder, calibration)

    def prepared(self, texts: Sequence[str] | pl.Series) -> list[str]:
        """Posts as the network reads them."""
        return prepare(texts, self.config.text)

    def logits(self, texts: Sequence[str] | pl.Series) -> np.ndarray:
        """Of posts as they were written, float32 (posts, K)."""
        return logits_of(self.network, self.tokens, self.prepared(texts))

    def sentiment(self, posts: pl.DataFrame, logits: np.ndarray) -> pl.DataFrame:
        """One row of `post_sentiment` for each post, without explanations; logits: (posts, K)."""
        probabilities = self.calibration.probabilities(logits)
        names = np.array(self.labels, dtype=object)[self.calibration.decide(probabilities)]
        columns = [
            pl.Series("label", names, dtype=pl.String),
            *(
                pl.Series(probability_column(label), probabilities[:, number])
                for number, label in enumerate(self.labels)
            ),
            pl.Series("abstain", self.calibration.abstains(probabilities)),
            pl.lit(None, dtype=pl.String).alias("deciding_words"),
            *self._stamps(),
        ]
        return posts.select("post_id").with_columns(columns)

    def trend(self, posts: pl.DataFrame, logits: np.ndarray) -> pl.DataFrame:
        """Rows of `sentiment_trend`: of each day, for all posts and for each topic; of posts with a time alone."""
        days = posts.select(
            topic="topic", day=pl.col("time").dt.date(), place=pl.int_range(pl.len(), dtype=pl.Int64)
        ).filter(pl.col("day").is_not_null())
        whole = days.with_columns(topic=pl.lit(None, dtype=pl.String))
        parts = pl.concat([whole, days.filter(pl.col("topic").is_not_null())])
        rows: list[dict[str, Any]] = []
        for (topic, day), chosen in sorted(
            parts.group_by("topic", "day"), key=lambda item: (item[0][0] is not None, *map(str, item[0]))
        ):
            rows += self._shares(topic, day, logits[chosen["place"].sort().to_numpy()])
        frame = pl.DataFrame(rows, schema=_TREND, infer_schema_length=None)
        return frame.with_columns(pl.lit(METHOD).alias("method"), *self._stamps())

    def tensors(self) -> dict[str, Tensor]:
        """Weights of the network, float32 as they were trained."""
        return {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}

    def save(self, folder: Path) -> None:
        """Writes `config.json`, `model.safetensors` and `features/` into an existing folder."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=1))
        save_file(self.tensors(), folder / _WEIGHTS)
        (folder / "features").mkdir(exist_ok=True)
        self.save_features(folder / "features")

    def save_features(self, folder: Path) -> None:
        """Writes tokenizer, labels, calibration, and the configuration of a pretrained encoder."""
        facts = {"labels": list(self.labels), "calibration": self.calibration.to_json()}
        (folder / _FACTS).write_text(json.dumps(facts))
        (folder / _TOKENIZER).write_text(json.dumps(self.tokens.to_json()))
        (folder / _ENCODER).write_text(json.dumps(self.encoder))

    @classmethod
    def load(cls, folder: Path, version: str = "not registered") -> Self:
        """Reads what `save` wrote; the folder of a verified bundle has the same files."""
        config = read_config(folder, SentimentConfig)
        facts, tokenizer, encoder = (
            json.loads((folder / "features" / name).read_text()) for name in (_FACTS, _TOKENIZER, _ENCODER)
        )
        labels, tokens = tuple(facts["labels"]), Tokens.from_json(tokenizer)
        network = rebuilt(config, tokens, encoder, len(labels))
        network.load_state_dict(load_file(folder / _WEIGHTS))
        calibration = Calibration.from_json(facts["calibration"])
        return cls(config, labels, network.eval(), tokens, encoder, calibration, version)

    @classmethod
    def from_bundle(cls, bundle: "Bundle", version: str) -> Self:
        """The scorer of a published, verified bundle."""
        return cls.load(bundle.folder, version)

    def _shares(self, topic: Any, day: Any, logits: np.ndarray) -> Iterator[dict[str, Any]]:
        found = estimated(self.calibration, logits, self.config.seed)
        for number, label in enumerate(self.labels):
            yield {
                "topic": topic,
                "day": day,
                "label": label,
                "num_posts": found.num_posts,
                "share": float(found.share[number]),
                "share_low": float(found.low[number]),
                "share_high": float(found.high[number]),
                "share_counted": float(found.counted[number]),
            }

    def _stamps(self) -> tuple[pl.Expr, ...]:
        return (
            pl.lit(self.version).alias("model_version"),
            pl.lit(input_contract(self.labels).id_version).alias("contract"),
            pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC")).alias("scored_at"),
        )


_TREND = {
    "topic": pl.String,
    "day": pl.Date,
    "label": pl.String,
    "num_posts": pl.Int64,
    "share": pl.Float64,
    "share_low": pl.Float64,
    "share_high": pl.Float64,
    "share_counted": pl.Float64,
}
