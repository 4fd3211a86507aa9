"""CNN-LSTM for remaining life, and an LSTM autoencoder of healthy operation.

Convolutions over the readings smooth and halve them, an LSTM (Hochreiter and Schmidhuber 1997) reads what is left, as
in the usual CNN-LSTM for remaining life (Zhao et al. 2017). What differs: one network gives the remaining life, both
ends of its interval, which cannot cross, and the log-odds of failing within the horizon; and training adds noise to
readings and whole windows, because the machines of a fleet are few and each has its own level.

Shapes: B windows, L readings, C channels.
"""

import torch
from torch import Tensor, nn

# Columns of the output of `CnnLstm`: remaining life and its interval as shares of the cap, and log-odds of failing.
RUL, LOW, HIGH, FAILS = range(4)
_FIRST_RUL = 0.7  # mean remaining life as a share of the cap: a start from 0 would cost the first epoch
_POOL = 2


class CnnLstm(nn.Module):
    """Remaining life from windows of scaled readings."""

    def __init__(
        self,
        num_inputs: int,
        *,
        channels: int,
        kernel_size: int,
        hidden_size: int,
        dropout: float,
        reading_noise: float,
        offset_noise: float,
    ) -> None:
        super().__init__()
        self.reading_noise, self.offset_noise = reading_noise, offset_noise
        self.convolutions = nn.Sequential(
            nn.Conv1d(num_inputs, channels, kernel_size, stride=_POOL, padding=kernel_size // 2),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 3, padding="same"),
            nn.ReLU(),
            nn.AvgPool1d(_POOL),
        )
        self.lstm = nn.LSTM(channels, hidden_size, batch_first=True)
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(hidden_size, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, 4)
        )
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([_FIRST_RUL, -2.0, -2.0, -1.0]))

    def forward(self, windows: Tensor) -> Tensor:
        """(B, L, C) -> (B, 4), columns RUL, LOW, HIGH and FAILS."""
        if self.training:
            windows = windows + self.offset_noise * torch.randn_like(windows[:, :1])
            windows = windows + self.reading_noise * torch.randn_like(windows)
        states, _ = self.lstm(self.convolutions(windows.transpose(1, 2)).transpose(1, 2).contiguous())
        rul, below, above, fails = self.head(states[:, -1]).unbind(1)
        # the interval is put around the estimate, not the estimate moved by what the interval needs
        centre, below, above = rul.detach(), nn.functional.softplus(below), nn.functional.softplus(above)
        return torch.stack([rul, centre - below, centre + above, fails], 1)


class Ensemble(nn.Module):
    """The mean of several networks."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, windows: Tensor) -> Tensor:
        """(B, L, C) -> (B, 4): means of all columns."""
        return torch.stack([member(windows) for member in self.members]).mean(0)


class LstmAutoencoder(nn.Module):
    """Reconstructs windows of healthy operation, smoothed and halved, through `code_size` numbers.

    mean_error: mean squared error of each channel on healthy training windows, (C,); it makes errors comparable.
    """

    mean_error: Tensor

    def __init__(self, num_inputs: int, *, hidden_size: int, code_size: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(num_inputs, hidden_size, batch_first=True)
        self.code = nn.Linear(hidden_size, code_size)
        self.decoder = nn.LSTM(code_size, hidden_size, batch_first=True)
        self.readings = nn.Linear(hidden_size, num_inputs)
        self.register_buffer("mean_error", torch.ones(num_inputs))

    def squared_errors(self, windows: Tensor) -> Tensor:
        """(B, L, C) -> mean squared error of each channel, (B, C)."""
        seen = nn.functional.avg_pool1d(windows.transpose(1, 2), _POOL).transpose(1, 2).contiguous()
        states, _ = self.encoder(seen)
        code = self.code(states[:, -1])
        decoded, _ = self.decoder(code[:, None].expand(-1, seen.shape[1], -1).contiguous())
        return (self.readings(decoded) - seen).square().mean(1)

    def errors(self, windows: Tensor) -> Tensor:
        """(B, L, C) -> what each channel adds to the anomaly score, (B, C): 1 / C is usual for healthy windows."""
        return self.squared_errors(windows) / (self.mean_error * windows.shape[2])

    def forward(self, windows: Tensor) -> Tensor:
        """(B, L, C) -> anomaly score, (B,): the sum of `errors`, 1 is usual for healthy windows."""
        return self.errors(windows).sum(1)
