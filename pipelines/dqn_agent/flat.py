"""The weights of many seeds as one tensor: what is done to all of them is one operation instead of one for each."""

import torch
from torch import Tensor, nn

from pipelines.dqn_agent.networks import QNetwork


class Flat:
    """All weights of a network with one row for each seed, and their gradients beside them.

    The network's own parameters become views of it, so they keep their names and shapes. weights: parameter of shape
    (S, weights of a seed).
    """

    def __init__(self, network: QNetwork) -> None:
        self._parameters = list(network.parameters())
        with torch.no_grad():
            values = torch.cat([each.flatten(1) for each in self._parameters], dim=1)
        self.weights = nn.Parameter(values)
        self.gradients = torch.zeros_like(values)
        self.weights.grad = self.gradients
        start = 0
        for each in self._parameters:
            end = start + each[0].numel()
            each.data = self.weights.data[:, start:end].view(each.shape)
            start = end

    def backward(self, loss: Tensor) -> None:
        """Put the gradients of a loss in the place of those before."""
        found = torch.autograd.grad(loss, self._parameters)
        torch.cat([gradient.flatten(1) for gradient in found], dim=1, out=self.gradients)

    def clip(self, largest: float) -> None:
        """Scale the gradients of each seed so that their norm is at most `largest`."""
        norm = torch.linalg.vector_norm(self.gradients, dim=1, keepdim=True)
        self.gradients.mul_((largest / (norm + 1e-6)).clamp_(max=1.0))
