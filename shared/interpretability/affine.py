"""A feed-forward network as affine maps and elementwise activations in turn, which DeepSHAP works on."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.errors import RequestError

ELEMENTWISE = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ReLU6, nn.Hardtanh, nn.ELU, nn.CELU, nn.SELU, nn.GELU,
    nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Tanh, nn.Tanhshrink, nn.Sigmoid, nn.LogSigmoid,
    nn.Softplus, nn.Softsign, nn.Softshrink,
)  # fmt: skip
INERT = (nn.Identity, nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True, slots=True)
class Layer:
    """An affine map of shape (out, in) and the activation after it; the last one of a network has none."""

    weight: Tensor
    bias: Tensor
    activation: nn.Module | None

    def slopes_at(self, values: Tensor) -> Tensor:
        """Derivative of the activation, of the shape of `values`."""
        assert self.activation is not None
        if isinstance(self.activation, nn.ReLU):
            return (values > 0).to(values.dtype)
        with torch.enable_grad():
            leaf = values.detach().requires_grad_()
            return torch.autograd.grad(self.activation(leaf).sum(), leaf)[0]


def compiled(network: nn.Module, like: Tensor, output: int | None) -> list[Layer]:
    """The network as affine maps and activations in turn, folded in float64 and reduced to one output."""
    num_features = like.shape[1]
    weight, bias = _identity(num_features, like)
    layers: list[Layer] = []

    def convert(tensor: Tensor) -> Tensor:
        return tensor.to(like.dtype)

    for module in _flat(network):
        if isinstance(module, ELEMENTWISE):
            layers.append(Layer(convert(weight), convert(bias), module))
            weight, bias = _identity(len(bias), like)
        else:
            weight, bias = _folded(module, weight, bias)
    num_outputs = len(bias)
    if output is None and num_outputs != 1:
        raise RequestError(
            f"Expected one output, or output=INDEX to choose one. Received {num_outputs} outputs."
        )
    column = output or 0
    if not 0 <= column < num_outputs:
        raise RequestError(f"Expected output between 0 and {num_outputs - 1}. Received {column}.")
    layers.append(Layer(convert(weight[column : column + 1]), convert(bias[column : column + 1]), None))
    return layers


def _flat(module: nn.Module) -> list[nn.Module]:
    """The modules of nested Sequentials in order, without those that do nothing in eval mode."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        return list(itertools.chain.from_iterable(_flat(child) for child in module))
    return [] if isinstance(module, INERT) else [module]


def _folded(module: nn.Module, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map `module(weight x + bias)`."""
    if isinstance(module, nn.Linear):
        matrix = module.weight.double()
        offset = matrix.new_zeros(len(matrix)) if module.bias is None else module.bias.double()
        if matrix.shape[1] != len(bias):
            raise RequestError(
                f"Expected {matrix.shape[1]} inputs for {module}. Received {len(bias)}:"
                " pass rows with the columns that the network was trained on."
            )
        return matrix @ weight, matrix @ bias + offset
    if isinstance(module, nn.BatchNorm1d) and module.running_mean is not None:
        assert module.running_var is not None
        scale = (module.running_var.double() + module.eps).rsqrt()
        scale = scale if module.weight is None else scale * module.weight.double()
        shift = -module.running_mean.double() * scale
        shift = shift if module.bias is None else shift + module.bias.double()
        return scale[:, None] * weight, scale * bias + shift
    raise RequestError(
        "Expected a Sequential of Linear, BatchNorm1d with running statistics, Dropout and elementwise"
        f" activations. Received {type(module).__name__}, for which DeepSHAP has no exact rule: use"
        " expected_gradients, which explains any differentiable model."
    )


def _identity(size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    return (
        torch.eye(size, dtype=torch.float64, device=like.device),
        torch.zeros(size, dtype=torch.float64, device=like.device),
    )
