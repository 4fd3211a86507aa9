"""Autoencoders of genuine transactions (Rumelhart et al. 1986; denoising: Vincent et al. 2008; variational: Kingma and
Welling 2014), an ensemble trained as one batched network; and the supervised head that takes their errors as inputs.

What differs from the usual example: a bottleneck that is narrower than the data's own rank, members with their own
weights in one tensor, and errors that are standardised feature by feature before they are added up.

Shapes: M members, B rows, I inputs, H hidden units, Z units of the code.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from shared.training.dropout import dropout

Kind = Literal["plain", "denoising", "variational"]
_HEAD_LIMIT = 10.0


class Dense(nn.Module):
    """One linear layer for each member: (M, B, in) -> (M, B, out)."""

    def __init__(self, num_members: int, num_in: int, num_out: int) -> None:
        super().__init__()
        bound = (1.0 / num_in) ** 0.5
        self.weight = nn.Parameter(torch.empty(num_members, num_in, num_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(num_members, 1, num_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class Autoencoder(nn.Module):
    """Reconstructs scaled rows through `code_size` numbers.

    kind: plain; denoising, which sees rows with a share `noise` of the inputs replaced by those of other rows;
    variational, whose code is drawn around its mean in training and pulled towards a standard normal by `kl_weight`.
    """

    def __init__(
        self,
        num_inputs: int,
        hidden_sizes: tuple[int, ...],
        code_size: int,
        *,
        num_members: int = 1,
        kind: Kind = "plain",
        noise: float = 0.1,
        kl_weight: float = 0.01,
    ) -> None:
        super().__init__()
        self.num_members, self.kind, self.noise, self.kl_weight = num_members, kind, noise, kl_weight
        self.code_size = code_size
        code_width = 2 * code_size if kind == "variational" else code_size
        self.encoder = _tower(num_members, (num_inputs, *hidden_sizes, code_width))
        self.decoder = _tower(num_members, (code_size, *reversed(hidden_sizes), num_inputs))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, I) -> reconstructions (M, B, I)."""
        return self.decoder(self._code(self._seen(rows))[0])

    def loss(self, rows: Tensor) -> Tensor:
        """Mean squared error over members, rows and inputs, with the variational term where there is one."""
        code, divergence = self._code(self._seen(rows))
        return (self.decoder(code) - rows).square().mean() + self.kl_weight * divergence

    def _seen(self, rows: Tensor) -> Tensor:
        if self.kind == "denoising" and self.training:
            others = rows[torch.randperm(len(rows), device=rows.device)]
            rows = torch.where(torch.rand_like(rows) < self.noise, others, rows)
        return rows.expand(self.num_members, -1, -1)

    def _code(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(rows)
        if self.kind != "variational":
            return code, code.new_zeros(())
        mean, log_variance = code.split(self.code_size, dim=-1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1).mean()
        if self.training:
            mean = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return mean, divergence


class SequenceAutoencoder(nn.Module):
    """Reads the last transactions of a customer and reconstructs the newest one through `code_size` numbers.

    Its first layer sees all of them side by side: a causal convolution over the whole sequence, of which only the last
    place is asked for. N transactions in a sequence, the newest last.
    """

    def __init__(
        self, num_inputs: int, length: int, hidden_sizes: tuple[int, ...], code_size: int, *, num_members: int
    ) -> None:
        super().__init__()
        self.num_members = num_members
        self.encoder = _tower(num_members, (length * num_inputs, *hidden_sizes, code_size))
        self.decoder = _tower(num_members, (code_size, *reversed(hidden_sizes), num_inputs))

    def forward(self, sequences: Tensor) -> Tensor:
        """(B, N, I) -> reconstructions of the newest transactions, (M, B, I)."""
        side_by_side = sequences.flatten(1).expand(self.num_members, -1, -1)
        return self.decoder(self.encoder(side_by_side))

    def errors(self, sequences: Tensor) -> Tensor:
        """(B, N, I) -> squared errors of the newest transactions, (B, I), mean over members."""
        return (self(sequences) - sequences[:, -1]).square().mean(0)


def _tower(num_members: int, sizes: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for below, above in pairwise(sizes):
        layers += [Dense(num_members, below, above), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Head(nn.Module):
    """Log-odds of fraud from a row's inputs and its standardised errors side by side."""

    def __init__(
        self, num_inputs: int, hidden_sizes: tuple[int, ...], *, num_members: int, dropout: float
    ) -> None:
        super().__init__()
        self.num_members, self.dropout = num_members, dropout
        self.layers = nn.ModuleList(
            Dense(num_members, below, above) for below, above in pairwise((num_inputs, *hidden_sizes, 1))
        )

    def begin_at(self, rate: Tensor) -> None:
        """Give every row the log-odds of this rate: otherwise the first epochs learn only that fraud is rare."""
        last = self.layers[-1]
        assert isinstance(last, Dense)
        nn.init.constant_(last.bias, float(rate.logit()))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, I) -> log-odds: (M, B) in training mode, the mean over members (B,) in evaluation mode."""
        hidden = rows.expand(self.num_members, -1, -1)
        for layer in self.layers[:-1]:
            hidden = dropout(torch.relu(layer(hidden)), self.dropout, self.training)
        log_odds = self.layers[-1](hidden).squeeze(-1)
        return log_odds if self.training else log_odds.mean(0)


class Detector(nn.Module):
    """What is served: the standardised errors of an autoencoder and, with labels, a head on top of them.

    mean_error: mean squared error of each input on genuine training rows, (I,); it makes the errors comparable.
    """

    mean_error: Tensor

    def __init__(self, autoencoder: Autoencoder, mean_error: Tensor, head: Head | None = None) -> None:
        super().__init__()
        self.autoencoder, self.head = autoencoder, head
        self.register_buffer("mean_error", mean_error)

    def errors(self, rows: Tensor) -> Tensor:
        """(B, I) -> what each input adds to the anomaly score, (B, I): 1 / I is usual for genuine rows."""
        squared = (self.autoencoder(rows) - rows).square().mean(0)
        return squared / (self.mean_error * rows.shape[1])

    def anomaly(self, rows: Tensor) -> Tensor:
        """(B, I) -> mean standardised error, (B,): 1 is usual for genuine rows, higher is more anomalous."""
        return self.errors(rows).sum(1)

    def normal(self, rows: Tensor) -> Tensor:
        """(B, I) -> what the autoencoder expects instead, (B, I), mean over members."""
        return self.autoencoder(rows).mean(0)

    def head_inputs(self, rows: Tensor) -> Tensor:
        """(B, I) -> the inputs, cut where they say no more, and the logarithms of their errors, (B, 2 I + 1)."""
        errors = self.errors(rows)
        total = errors.sum(1, keepdim=True)
        return torch.cat(
            [rows.clamp(-_HEAD_LIMIT, _HEAD_LIMIT), (errors * rows.shape[1]).log1p(), total.log1p()], 1
        )

    def forward(self, rows: Tensor) -> Tensor:
        """(B, I) -> log-odds of fraud with a head, the anomaly score without one, (B,). Higher is more suspicious."""
        return self.anomaly(rows) if self.head is None else self.head(self.head_inputs(rows))


def reconstruction_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Of an `Autoencoder`."""
    assert isinstance(model, Autoencoder)
    return model.loss(batch["x"])


def head_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Mean binary cross-entropy of a `Head` over members and rows, in nats."""
    log_odds = model(batch["x"])
    target = batch["target"].expand_as(log_odds)
    return nn.functional.binary_cross_entropy_with_logits(log_odds, target)
