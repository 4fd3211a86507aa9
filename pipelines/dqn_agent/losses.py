"""What an update makes small: the distance of the network's returns from a reward and its own later estimate.

Mean: Huber loss (Mnih et al. 2015). Atoms: cross-entropy with the shifted distribution, put back on the atoms
(Bellemare et al. 2017). Quantiles: quantile Huber loss (Dabney et al. 2018).

Shapes: S seeds, B transitions, A actions, K atoms or quantiles.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.dqn_agent.networks import QNetwork
from pipelines.dqn_agent.replay import Drawn


def losses(network: QNetwork, target: QNetwork, drawn: Drawn, *, double: bool) -> tuple[Tensor, Tensor]:
    """Loss and error of each transition, (S, B); the error, without gradient, is what priorities go by."""
    if network.config.distribution == "mean":
        return _of_means(network, target, drawn, double=double)
    said = _taken(network(drawn.observation), drawn.action)
    with torch.no_grad():
        later = target(drawn.next_observation)
        choice = network(drawn.next_observation) if double else later
        best = _taken(later, network.means(choice).argmax(-1))
    if network.config.distribution == "atoms":
        return _of_atoms(network, said, best, drawn)
    return _of_quantiles(said, best, drawn)


def _of_means(network: QNetwork, target: QNetwork, drawn: Drawn, *, double: bool) -> tuple[Tensor, Tensor]:
    said = network.values(drawn.observation).gather(2, drawn.action.unsqueeze(2)).squeeze(2)
    with torch.no_grad():
        later = target.values(drawn.next_observation)
        if double:
            choice = network.values(drawn.next_observation).argmax(2, keepdim=True)
            best = later.gather(2, choice).squeeze(2)
        else:
            best = later.amax(2)
        wanted = torch.addcmul(drawn.reward, drawn.discount, best)
    return functional.smooth_l1_loss(said, wanted, reduction="none"), wanted - said.detach()


def _taken(found: Tensor, action: Tensor) -> Tensor:
    """(S, B, A, K) -> (S, B, K) of one action of each."""
    index = action[..., None, None].expand(*action.shape, 1, found.shape[-1])
    return found.gather(2, index).squeeze(2)


def _of_atoms(network: QNetwork, said: Tensor, best: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
    support = network.support
    assert support is not None, "atoms have a support"
    lowest, step = support[0], support[1] - support[0]
    moved = (drawn.reward[..., None] + drawn.discount[..., None] * support).clamp(support[0], support[-1])
    place = (moved - lowest) / step
    below = place.floor().clamp(max=len(support) - 1)
    above = (below + 1).clamp(max=len(support) - 1)
    probability = best.softmax(-1)
    wanted = torch.zeros_like(probability)
    wanted.scatter_add_(-1, below.long(), probability * (1 - (place - below)))
    wanted.scatter_add_(-1, above.long(), probability * (place - below))
    loss = -(wanted * said.log_softmax(-1)).sum(-1)
    return loss, loss.detach()


def _of_quantiles(said: Tensor, best: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
    wanted = drawn.reward[..., None] + drawn.discount[..., None] * best
    gap = wanted[..., None, :] - said[..., :, None]
    num = said.shape[-1]
    level = (torch.arange(num, device=said.device) + 0.5) / num
    huber = torch.where(gap.abs() <= 1, 0.5 * gap.square(), gap.abs() - 0.5)
    loss = ((level[:, None] - (gap < 0).float()).abs() * huber).mean(-1).sum(-1)
    return loss, (wanted.mean(-1) - said.mean(-1)).detach()
