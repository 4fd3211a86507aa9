"""What batches are cut from follows to the device that asks, once."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from shared.training.held import Held

ELSEWHERE = torch.device("meta")


@dataclass(frozen=True)
class Rows:
    values: Tensor
    moves: list[torch.device] = field(default_factory=list)

    def gather(self, chosen: Tensor) -> Tensor:
        return self.values[chosen]

    def to(self, device: torch.device) -> "Rows":
        self.moves.append(device)
        return replace(self, values=self.values.to(device))


def test_rows_are_those_of_the_source():
    assert Held(Rows(torch.arange(5) * 10)).gather(torch.tensor([3, 1])).tolist() == [30, 10]


def test_the_source_moves_once_to_the_device_that_asks_and_stays_there():
    rows = Rows(torch.arange(5))
    held = Held(rows)
    chosen = torch.tensor([0, 2], device=ELSEWHERE)
    assert {held.gather(chosen).device for _ in range(3)} == {ELSEWHERE}
    assert rows.moves == [ELSEWHERE]
