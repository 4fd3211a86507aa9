"""Networks: a small transformer of our own, learnt from the posts alone, and encoders of Hugging Face.

Own: pre-norm transformer encoder (Vaswani et al. 2017; Xiong et al. 2020) with learnt positions. Both are read out
alike: the mean over the tokens of a post, dropout, one linear layer. Embeddings come in separately, so that
explanations can follow the gradient to them.

Shapes: B posts, L tokens, E embedding, K labels. mask: bool (B, L), True where a token is; None where all are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.errors import RequestError


class Block(nn.Module):
    """Attention and a layer by token, each added to what came in. (B, L, E) -> (B, L, E)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_layer = nn.LayerNorm(width), nn.LayerNorm(width)
        self.in_projection, self.out_projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.layer = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        size, length, width = tokens.shape
        parts = self.in_projection(self.before_attention(tokens)).view(size, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = None if mask is None else mask[:, None, None, :]
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        mixed = self.out_projection(found.transpose(1, 2).reshape(size, length, width))
        tokens = tokens + functional.dropout(mixed, self.dropout, self.training)
        return tokens + functional.dropout(self.layer(self.before_layer(tokens)), self.dropout, self.training)


class OwnEncoder(nn.Module):
    """A transformer that is learnt from nothing."""

    def __init__(
        self, vocabulary: int, max_length: int, *, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        if width % heads:
            raise RequestError(
                f"Expected model.width to be a multiple of model.heads. Received {width} and {heads}."
            )
        self.width, self.dropout = width, dropout
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(max_length, width)
        for table in (self.tokens, self.positions):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def embed(self, ids: Tensor) -> Tensor:
        """(B, L) -> (B, L, E), without positions."""
        found: Tensor = self.tokens(ids)
        return found

    def forward(self, embedded: Tensor, mask: Tensor | None) -> Tensor:
        places = torch.arange(embedded.shape[1], device=embedded.device)
        tokens = functional.dropout(embedded + self.positions(places), self.dropout, self.training)
        for block in self.blocks:
            tokens = block(tokens, mask)
        found: Tensor = self.norm(tokens)
        return found

    def levels(self) -> list[nn.Module]:
        """From the embeddings to the last layer, for learning rates that rise with depth."""
        return [nn.ModuleList([self.tokens, self.positions]), *self.blocks, self.norm]


class HubEncoder(nn.Module):
    """An encoder of Hugging Face's transformers. network: of class AutoModel, with `last_hidden_state`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.width = int(network.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def embed(self, ids: Tensor) -> Tensor:
        """(B, L) -> (B, L, E), without positions."""
        found: Tensor = self.network.get_input_embeddings()(ids)  # type: ignore[operator]
        return found

    def forward(self, embedded: Tensor, mask: Tensor | None) -> Tensor:
        found: Tensor = self.network(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
        return found

    def levels(self) -> list[nn.Module]:
        """From the embeddings to the last layer; all at once where the layers are not where BERT has them."""
        layers = getattr(getattr(self.network, "encoder", None), "layer", None)
        embeddings = getattr(self.network, "embeddings", None)
        return [self.network] if layers is None or embeddings is None else [embeddings, *layers]


class Classifier(nn.Module):
    """Labels of posts. encoder: of tokens."""

    def __init__(self, encoder: OwnEncoder | HubEncoder, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.width, num_labels)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L) -> logits (B, K)."""
        return self.of_embedded(self.encoder.embed(ids), mask)

    def of_embedded(self, embedded: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, E) -> logits (B, K)."""
        tokens = self.encoder(embedded, mask)
        if mask is None:
            pooled = tokens.mean(1)
        else:
            weight = mask[:, :, None].to(tokens.dtype)
            pooled = (tokens * weight).sum(1) / weight.sum(1)
        found: Tensor = self.head(self.dropout(pooled))
        return found


def hub_encoder(name: str, *, dropout: float, weights: bool = True) -> tuple[HubEncoder, dict[str, Any]]:
    """An encoder by hub name or local folder, and its configuration. Nothing is executed that comes with it.

    Raises RequestError for what is not there or is no encoder of text.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    local = Path(name).is_dir()
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local, trust_remote_code=False)
        for field in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if hasattr(config, field):
                setattr(config, field, dropout)
        with _without_progress_bars():
            network = AutoModel.from_pretrained(
                name, config=config, local_files_only=local, trust_remote_code=False, use_safetensors=True
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RequestError(
            f"Expected model.encoder as own, minilm, a folder with config.json, tokenizer.json and model.safetensors, "
            f"or a name on the Hugging Face hub that can be reached. Received {name!r}: {reason}"
        ) from error
    return HubEncoder(_without_pooler(network)), config.to_dict()


def hub_encoder_of(config: dict[str, Any]) -> HubEncoder:
    """The same without weights, from the configuration in a bundle."""
    from transformers import AutoConfig, AutoModel

    fields = {key: value for key, value in config.items() if key not in {"model_type", "auto_map"}}
    try:
        network = AutoModel.from_config(
            AutoConfig.for_model(config["model_type"], **fields), trust_remote_code=False
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RequestError(f"Expected the configuration of an encoder. Received another: {error}") from error
    return HubEncoder(_without_pooler(network))


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """A bar of an instant's length would stand among the lines of a run."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _without_pooler(network: nn.Module) -> nn.Module:
    """Nothing reads the pooler: its weights would never learn."""
    if getattr(network, "pooler", None) is not None:
        network.pooler = None  # type: ignore[assignment]
    return network
