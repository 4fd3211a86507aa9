"""Autoencoders of heartbeats that know the patient's usual beat, and the detector that adds the rhythm.

An LSTM autoencoder (Malhotra et al. 2016), a convolutional one (Masci et al. 2011), and the same with a variational
code (Kingma and Welling 2014). What differs from the usual example: the code carries only how this beat differs from
the patient's usual beat, which the decoder is given, so a small code does not have to hold the patient; and each sample
has its own expected error, so that a beat is judged where this patient is steady (Nix and Weigend 1994).

Shapes: B beats, L samples of a beat (a multiple of 16), P = L / 2 samples that the network works on, C channels, Z
numbers of the code.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["convolutional", "variational", "lstm"]
# The band ends at 40 Hz, so half of 360 Hz loses nothing.
_POOL = 2
_NUM_INPUTS = 3
_LOG_SPREAD_OFFSET = 2.0  # brings the usual log spread near 0
_SPREAD_SHARE = (
    0.5  # where the expected error starts in training: between that of everybody and of this patient
)
_SMALLEST_LOG, _LARGEST_LOG = -5.0, 3.0
_LSTM_STEP = 4


class BeatAutoencoder(nn.Module):
    """Expects of each sample of a beat how far it lies from the usual beat, and with which error."""

    def __init__(
        self,
        num_samples: int,
        *,
        kind: Kind,
        channels: int,
        code_size: int,
        code_noise: float,
        kl_weight: float,
    ) -> None:
        super().__init__()
        self.kind, self.code_size = kind, code_size
        self.code_noise, self.kl_weight = code_noise, kl_weight
        width = 2 * code_size if kind == "variational" else code_size
        num_points = num_samples // _POOL
        self.encoder: nn.Module
        self.decoder: nn.Module
        if kind == "lstm":
            self.encoder, self.decoder = LstmEncoder(channels, width), LstmDecoder(channels, code_size)
        else:
            self.encoder = ConvEncoder(num_points, channels, width)
            self.decoder = ConvDecoder(num_points, channels, code_size)

    def forward(self, beats: Tensor) -> Tensor:
        """(B, 3, L), see `BeatInputs.gather`, -> how unexpected each sample is, (B, P), nats up to a constant."""
        return self.surprise(beats)[0]

    def surprise(self, beats: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and the divergence of the code from a standard normal, nats; 0 where it has none."""
        seen = self._seen(beats)
        code, divergence = self._code(self.encoder(seen))
        expected, log_error = self.decoder(seen[:, 1:], code).unbind(1)
        log_error = (_SPREAD_SHARE * (seen[:, 2] - _LOG_SPREAD_OFFSET) + log_error).clamp(
            _SMALLEST_LOG, _LARGEST_LOG
        )
        standardised = (seen[:, 0] - expected) * torch.exp(-log_error)
        return 0.5 * standardised.square() + log_error, divergence

    def code(self, beats: Tensor) -> Tensor:
        """(B, 3, L) -> (B, Z); of a variational code its mean."""
        return self.encoder(self._seen(beats))[:, : self.code_size]

    def loss(self, beats: Tensor) -> Tensor:
        """Mean negative log-likelihood of a sample, nats up to a constant, with the variational term where it is."""
        surprise, divergence = self.surprise(beats)
        return surprise.mean() + self.kl_weight * divergence

    def _seen(self, beats: Tensor) -> Tensor:
        difference, usual, log_spread = functional.avg_pool1d(beats, _POOL).unbind(1)
        return torch.stack([difference, usual, log_spread + _LOG_SPREAD_OFFSET], 1)

    def _code(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind != "variational":
            # a little noise keeps neighbouring codes alike
            noise = self.code_noise * torch.randn_like(encoded) if self.training else 0.0
            return encoded + noise, encoded.new_zeros(())
        mean, log_variance = encoded.split(self.code_size, dim=1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        if self.training:
            mean = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return mean, divergence


class ConvEncoder(nn.Module):
    """(B, 3, P) -> (B, width)."""

    def __init__(self, num_points: int, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_conv(_NUM_INPUTS, channels), *_conv(channels, 2 * channels), *_conv(2 * channels, 2 * channels)
        )
        self.out = nn.Linear(2 * channels * num_points // 8, width)

    def forward(self, seen: Tensor) -> Tensor:
        return self.out(self.layers(seen).flatten(1))


class ConvDecoder(nn.Module):
    """The usual beat (B, 2, P) and the code (B, Z) -> expected difference and log error, (B, 2, P)."""

    def __init__(self, num_points: int, channels: int, code_size: int) -> None:
        super().__init__()
        self.num_points = num_points
        self.usual = nn.Sequential(*_conv(2, channels), *_conv(channels, 2 * channels))
        self.code = nn.Linear(code_size, channels // 2 * (num_points // 4))
        self.layers = nn.Sequential(
            nn.Conv1d(2 * channels + channels // 2, 2 * channels, 7, padding=3),
            nn.GELU(),
            nn.ConvTranspose1d(2 * channels, channels, 8, 2, 3),
            nn.GELU(),
            nn.ConvTranspose1d(channels, 2, 8, 2, 3),
        )

    def forward(self, usual: Tensor, code: Tensor) -> Tensor:
        spread_out = self.code(code).view(len(code), -1, self.num_points // 4)
        return self.layers(torch.cat([self.usual(usual), spread_out], 1))


class LstmEncoder(nn.Module):
    """(B, 3, P) -> (B, width), from the last state; a convolution makes the steps few, as each waits for the last."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(_NUM_INPUTS, 2 * channels, 2 * _LSTM_STEP, _LSTM_STEP, 2), nn.GELU()
        )
        self.lstm = nn.LSTM(2 * channels, 2 * channels, batch_first=True)
        self.out = nn.Linear(2 * channels, width)

    def forward(self, seen: Tensor) -> Tensor:
        states, _ = self.lstm(self.layers(seen).transpose(1, 2).contiguous())
        return self.out(states[:, -1])


class LstmDecoder(nn.Module):
    """The usual beat (B, 2, P) and the code (B, Z) -> expected difference and log error, (B, 2, P)."""

    def __init__(self, channels: int, code_size: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * _LSTM_STEP + code_size, 2 * channels, batch_first=True)
        self.out = nn.Linear(2 * channels, 2 * _LSTM_STEP)

    def forward(self, usual: Tensor, code: Tensor) -> Tensor:
        steps = _steps(usual)
        states, _ = self.lstm(torch.cat([steps, code[:, None].expand(-1, steps.shape[1], -1)], 2))
        return self.out(states).unflatten(2, (2, _LSTM_STEP)).transpose(1, 2).flatten(2)


def _conv(num_in: int, num_out: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv1d(num_in, num_out, 7, 2, 3), nn.GELU()


def _steps(seen: Tensor) -> Tensor:
    """(B, C, P) -> (B, P / 4, 4 C): few steps, because an LSTM has to wait for each of them."""
    return seen.unflatten(2, (-1, _LSTM_STEP)).transpose(1, 2).flatten(2)


class Tail(nn.Module):
    """Minus the logarithm of the share of normal beats with at least this value: straight between quantiles, and beyond
    the highest exponential, as the tail of the training beats is. Differentiable.

    knots: ascending values, (K,). heights: minus the log of the share above each, (K,). slope: beyond the last one.
    """

    knots: Tensor
    heights: Tensor
    slope: Tensor

    def __init__(self, num_knots: int) -> None:
        super().__init__()
        self.register_buffer("knots", torch.arange(num_knots, dtype=torch.float32))
        self.register_buffer("heights", torch.zeros(num_knots))
        self.register_buffer("slope", torch.ones(()))

    def fit(self, values: Tensor) -> None:
        """From values of normal beats, (beats,), at least two different ones."""
        num = len(self.knots)
        # half of the knots in the highest tenth, where it is decided
        shares = torch.cat([torch.linspace(1, 0.1, num - num // 2), torch.logspace(-1, -2, num // 2 + 1)[1:]])
        values = values.double().sort().values
        places = (1 - shares.double()) * (len(values) - 1)
        below = places.long().clamp(max=len(values) - 2)
        # between two values where there are fewer of them than knots, else the tail would be a staircase
        quantiles = torch.lerp(values[below], values[below + 1], places - below)
        beyond = values[values > quantiles[-1]] - quantiles[-1]
        smallest = 1e-6 * (values[-1] - values[0]).clamp(min=1e-12)
        # equal values would make a step without a slope
        steps = torch.cat([quantiles[:1], quantiles.diff().clamp(min=smallest)])
        self.knots.copy_(steps.cumsum(0))
        self.heights.copy_(-shares.log())
        mean_beyond = beyond.mean() if len(beyond) else smallest
        self.slope.copy_(1 / mean_beyond.clamp(min=smallest))

    def forward(self, values: Tensor) -> Tensor:
        """(B,) -> (B,), 0 and more."""
        place = torch.searchsorted(self.knots, values.detach().contiguous()).clamp(1, len(self.knots) - 1)
        low, high = self.knots[place - 1], self.knots[place]
        share = ((values - low) / (high - low)).clamp(0, 1)
        between = self.heights[place - 1] + share * (self.heights[place] - self.heights[place - 1])
        return between + self.slope * (values - self.knots[-1]).clamp(min=0)


class Detector(nn.Module):
    """What is served: how rare the shape of a beat and its earliness are among normal beats, added up."""

    def __init__(self, autoencoder: BeatAutoencoder, num_knots: int = 200) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.shape, self.rhythm = Tail(num_knots), Tail(num_knots)

    def parts(self, beats: Tensor, early: Tensor) -> Tensor:
        """(B, 3, L) and (B,) -> what shape and rhythm add to the score, (B, 2)."""
        return torch.stack([self.shape(self.autoencoder(beats).mean(1)), self.rhythm(early)], 1)

    def forward(self, beats: Tensor, early: Tensor) -> Tensor:
        """(B, 3, L) and (B,) -> anomaly score, (B,): 2 is usual for normal beats, higher is more abnormal."""
        return self.parts(beats, early).sum(1)
