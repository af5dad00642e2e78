"""Sums over a square grid of codes, for models with two latent dimensions: the work of `evaluation.log_px_quadrature`.

The grid turns an integral over z into a sum: the step's square times the values at its points.
"""

from math import log

import torch
from torch import Tensor

from aetutor.objectives import check_takes, posterior

SIDE = 2.0  # of a block of the grid, at first; a block that does not matter to an image is not refined for it
POINTS = 16  # along each side of a block
EDGE = 25.0  # nats below the heaviest block at which p(x, z) counts as vanished
WIDEST = 60.0  # half a side of the square at which the widening gives up
FINEST = 1 / 512  # step at which the refinement gives up
NARROW = 1 / 64  # standard deviation below which a guess q(z|x) has a grid of its own, in steps of its own width


def refine(model, x, y, radius, tolerance):
    """(log_px, elbo, error), each `(N,)`, from grids made finer until nothing moves by more than the tolerance.

    The blocks that matter to some image are cut into four, each with as many points as the whole had. Of images whose
    guess is narrow the ELBO is left to `narrow_elbo`.
    """
    side, results = SIDE, [x.new_empty(len(x)) for _ in range(3)]
    axis = torch.arange(-radius, radius, side, dtype=x.dtype, device=x.device)
    corners, todo = torch.cartesian_prod(axis, axis), torch.arange(len(x), device=x.device)  # (M, 2), (N,)
    needed = torch.ones(len(x), len(corners), dtype=torch.bool, device=x.device)
    before, needed, log_px = _grid_sums(model, x, y, corners, needed, side)
    edge = (corners.amin(1) <= -radius) | (corners.amax(1) >= radius - side)
    beyond = (log_px[:, edge].amax(1) > log_px.amax(1) - EDGE).nonzero()[:, 0]
    if len(beyond):  # the posterior of these images may lie outside
        if radius >= WIDEST:
            raise RuntimeError(
                f"p(x, z) has not vanished {radius:g} from the origin for {len(beyond)} images: use log_px_importance."
            )
        wider = refine(model, x[beyond], None if y is None else y[beyond], radius + 2 * side, tolerance)
        for result, values in zip(results, wider, strict=True):
            result[beyond] = values
        inside = torch.ones(len(x), dtype=torch.bool, device=x.device)
        inside[beyond] = False
        todo = inside.nonzero()[:, 0]
        before, needed = [values[todo] for values in before], needed[todo]
    moved = x.new_full((len(todo),), torch.inf)
    while len(todo):
        used, side = needed.any(0), side / 2
        if side / POINTS < FINEST and (moved <= tolerance).all():
            break
        if side / POINTS < FINEST:
            raise RuntimeError(
                f"The quadrature has not converged to {tolerance} nats on a grid of step "
                f"{2 * side / POINTS:g} for {len(todo)} images: give a larger tolerance, or use "
                "log_px_importance."
            )
        quarters = torch.cartesian_prod(*[axis.new_tensor([0, side])] * 2)
        corners, needed = (corners[used, None] + quarters).flatten(0, 1), needed[:, used].repeat_interleave(4, 1)
        after, needed, _ = _grid_sums(model, x[todo], None if y is None else y[todo], corners, needed, side)
        moved_before = moved
        moved = torch.maximum((after[0] - before[0]).abs(), (after[1] - before[1]).nan_to_num(0.0).abs())
        for result, values in zip(results, (*after, moved), strict=True):
            result[todo] = values
        rest = ~(moved <= tolerance)
        if x.dtype == torch.float64:  # two rounds without a move: of smooth integrands the second is nearly exact
            rest |= ~(moved_before <= tolerance)
        todo, before, needed, moved = todo[rest], [values[rest] for values in after], needed[rest], moved[rest]
    return results


def _grid_sums(model, x, y, corners, needed, side):
    """(log_px, elbo), each `(B,)`, by the midpoints of a grid; the blocks with something to refine; their log sums.

    Only the blocks that an image needs, `(B, M)`, are summed for it. All sums are kept as logarithms, block by block.
    """
    q_z, step = posterior(model, x, y).base_dist, side / POINTS
    axis = (torch.arange(POINTS, dtype=x.dtype, device=x.device) + 0.5) * step
    inside = torch.cartesian_prod(axis, axis)  # the points of a block, from its corner
    log_px, log_mass = (x.new_full(needed.shape, -torch.inf) for _ in range(2))
    mean_ratio = torch.zeros_like(log_px)
    for block, corner in enumerate(corners):
        rows = needed[:, block].nonzero()[:, 0]
        z = corner + inside
        joint = log_joint(model, x[rows], None if y is None else y[rows], z)  # (R, G)
        log_q = sum(_axis_log_prob(q_z.loc[rows, k], q_z.log_var[rows, k], z[:, k]) for k in range(2))
        log_px[rows, block], log_mass[rows, block] = joint.logsumexp(1), log_q.logsumexp(1)
        # the mean of log p(x, z) - log q(z|x) under q, within the block
        mean_ratio[rows, block] = (log_q.softmax(1) * (joint - log_q)).sum(1)
    # nats below the heaviest block: 16 is the rounding of float32, 25 one in 10^11; twice as much on the first grid,
    # which may miss a narrow peak
    matters = min(-log(torch.finfo(x.dtype).eps), 25.0) * (1 + (side == SIDE))
    # a block's share of the ELBO is its mass times the mean ratio there, which may be thousands of nats
    shares = (log_px, log_mass + mean_ratio.abs().log1p())
    important = [log_sums > log_sums.amax(1, keepdim=True) - matters for log_sums in shares]
    narrow = is_narrow(q_z)
    # q put on the grid is q_g = q(z_g) / mass: Σ_g q_g log (p(x, z_g) / q_g), below the grid's log p(x) by Jensen
    cell, log_all = 2 * log(step), log_mass.logsumexp(1)
    elbo = (log_mass.softmax(1) * mean_ratio).sum(1) + log_all + cell
    elbo[narrow] = torch.nan
    return (log_px.logsumexp(1) + cell, elbo), important[0] | (important[1] & ~narrow[:, None]), log_px


def is_narrow(q_z):
    """Whether each guess, a Normal `(B, 2)`, is too narrow for the common grid, `(B,)`."""
    return q_z.scale.amin(1) < NARROW


def narrow_elbo(model, x, y, points):
    """The ELBO of one image, `(1, C, H, W)`, by a grid of points² codes around its own q(z|x), to seven deviations."""
    q_z = posterior(model, x, y).base_dist
    axis = torch.linspace(-7, 7, points, dtype=x.dtype, device=x.device)
    u = torch.cartesian_prod(axis, axis)
    z = q_z.loc + q_z.scale * u
    weights = (-u.square().sum(1) / 2).softmax(0)
    return (weights * (log_joint(model, x, y, z)[0] - q_z.log_prob(z).sum(1))).sum()


def log_joint(model, x, y, z):
    """log p(x|z) + log p(z) for all pairs: images `(B, C, H, W)` and codes `(G, 2)` -> `(B, G)`."""
    if y is None:
        p_x = model.decode(z).base_dist
        return p_x.log_prob_table(x) + model.prior().log_prob(z)
    table = x.new_empty(len(x), len(z))
    for label in y.unique():
        p_x = model.decode(z, label.expand(len(z))).base_dist
        table[y == label] = p_x.log_prob_table(x[y == label])
    return table + model.prior().log_prob(z)


def _axis_log_prob(mu, log_var, z):
    """log q of one coordinate, but for its constant, which cancels on the grid: `(B,)` and `(G,)` -> `(B, G)`."""
    return -0.5 * (z - mu[:, None]).square() * (-log_var[:, None]).exp()


def batches(x, y, size):
    """Pairs of images, or codes, and labels, `size` at a time; None for labels that are not given."""
    return zip(x.split(size), [None] * -(-len(x) // size) if y is None else y.split(size), strict=True)


def check_labels(model, x, y, each="an image"):
    """Raise ValueError unless labels y, where they are given, are one for each of x, and the model takes them."""
    check_takes(model, y)
    if y is not None and not isinstance(y, Tensor):
        raise ValueError(f"Labels are a tensor of class indices; got {y!r}: torch.as_tensor(y) makes one.")
    if y is not None and y.shape != x.shape[:1]:
        got = f"labels of shape {tuple(y.shape)}"
        raise ValueError(
            f"There must be one label {each}, shape {tuple(x.shape[:1])}; got {got}: y.argmax(-1) makes "
            "labels of a one-hot matrix, y.expand(len(x)) many of one."
        )


def check_plane(model):
    """Raise ValueError unless the model's codes have two dimensions."""
    if model.latent_dim != 2:
        raise ValueError(
            f"The quadrature works in two latent dimensions; this model has {model.latent_dim}: use log_px_importance."
        )
