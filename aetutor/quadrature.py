"""Integrals over the plane, many at once, by sums over square grids that refine themselves.

What is integrated is handed in: `log_f(z, rows)` gives log f_n(z) in nats, for points z `(G, 2)` and integrals n in
`rows` `(R,)`, as `(R, G)`; with it goes a Gaussian guess q_n of where each f_n is. Nothing here knows a model.
The plane is cut into square blocks of 8 × 8 points; `widen` makes the square large enough, `refine` cuts the blocks
that matter into four until nothing moves. All sums are kept as logarithms, block by block.
"""

from collections.abc import Callable, Iterator
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

SIDE = 1.0  # of a block at first
POINTS = 8  # along each side of a block
TOGETHER = 16  # blocks whose points are evaluated in one call
EDGE = 25.0  # nats below the heaviest block at which f counts as vanished
WIDEST = 60.0  # half a side of the square at which the widening gives up
FINEST = 1 / 512  # step at which the refinement gives up
NARROW = 1 / 64  # standard deviation below which a guess has a grid of its own, in steps of its own width

LogFunction = Callable[[Tensor, Tensor], Tensor]


class Guess(NamedTuple):
    """Gaussians q_n = N(mu_n, diag exp(log_var_n)), `(N, 2)` each."""

    mu: Tensor
    log_var: Tensor

    def log_density(self, z: Tensor, rows: Tensor) -> Tensor:
        """log q_n(z), points `(G, 2)` -> `(R, G)`, but for the constants, which cancel on a grid."""
        squares = [(z[:, k] - self.mu[rows, k, None]).square() * (-self.log_var[rows, k, None]).exp() for k in range(2)]
        return -0.5 * (squares[0] + squares[1])

    def sigma(self) -> Tensor:
        """The standard deviations, `(N, 2)`."""
        return (self.log_var / 2).exp()


class Integrals(NamedTuple):
    """log ∫ f_n(z) dz; the bound E_q[log f_n - log q_n] below it; how far both moved last. `(N,)` nats each."""

    log_integral: Tensor
    bound: Tensor
    error: Tensor


class Grid(NamedTuple):
    """Blocks of the plane, the integrals that are summed over them, and which block matters to which integral."""

    corners: Tensor  # (M, 2), the lower left ones
    side: float
    rows: Tensor  # (R,)
    needed: Tensor  # (R, M) bool

    @property
    def step(self) -> float:
        """From one point to the next."""
        return self.side / POINTS

    def of(self, chosen: Tensor) -> "Grid":
        """The same grid for some of its integrals, `(R,)` bool."""
        return self._replace(rows=self.rows[chosen], needed=self.needed[chosen])


class Sums(NamedTuple):
    """What each block holds of each integral, `(R, M)`: log Σ f, log Σ q, and the mean of log f - log q under q."""

    log_f: Tensor
    log_q: Tensor
    ratio: Tensor

    def of(self, chosen: Tensor) -> "Sums":
        """Those of some of the integrals, `(R,)` bool."""
        return Sums(*(part[chosen] for part in self))


def log_integrals(log_f: LogFunction, guess: Guess, tolerance: float) -> Integrals:
    """log ∫ f_n(z) dz and the bound E_q[log f_n - log q_n] for every n, each to `tolerance` nats.

    The bound is that of q put on the grid: what is missing to the integral is then a KL divergence on the grid, and
    never negative. A guess narrower than 1/64 gets its bound from a grid of its own, so that this holds only up to the
    errors of the two grids. Source: notebook 03, section 1.
    Raises RuntimeError where f does not vanish within 60 of the origin, or a step of 1/512 is too coarse.
    """
    results = Integrals(*(torch.empty_like(guess.mu[:, 0]) for _ in Integrals._fields))
    for grid, sums in widen(log_f, guess):
        for rows, values in refine(log_f, guess, grid, sums, tolerance):
            for result, value in zip(results, values, strict=True):
                result[rows] = value
    for row in (guess.sigma().amin(1) < NARROW).nonzero():
        coarse, fine = (own_grid_bound(log_f, guess, row, points) for points in (12, 16))
        results.bound[row], results.error[row] = fine, torch.maximum(results.error[row], (fine - coarse).abs())
    return results


def widen(log_f: LogFunction, guess: Guess) -> Iterator[tuple[Grid, Sums]]:
    """Squares with their first sums, each for the integrals that it holds; together all of them.

    A square reaches to seven standard deviations of the guess, and further where f has not vanished at its edge.
    """
    radius = (guess.mu.abs() + 7 * guess.sigma()).amax(1).clamp(min=6.0).ceil()  # (N,)
    if (radius > 2 * WIDEST).any():
        raise RuntimeError(
            f"A guess reaches {radius.max():.3g} from the origin, and a grid would be too large: use importance "
            "sampling."
        )
    waiting = torch.ones_like(radius, dtype=torch.bool)
    while waiting.any():
        half = radius[waiting].min().item()
        grid = square(half, (waiting & (radius == half)).nonzero()[:, 0], guess)
        sums = block_sums(log_f, guess, grid)
        reaches_out = at_edge(sums, grid, half)
        if reaches_out.any() and half >= WIDEST:
            raise RuntimeError(
                f"The integrand has not vanished {half:g} from the origin for {int(reaches_out.sum())} of them: use "
                "importance sampling."
            )
        radius[grid.rows[reaches_out]] += 4 * SIDE
        waiting[grid.rows[~reaches_out]] = False
        yield grid.of(~reaches_out), sums.of(~reaches_out)


def square(half: float, rows: Tensor, guess: Guess) -> Grid:
    """The blocks of the square from -half to half, all needed by all of `rows`."""
    axis = torch.arange(-half, half, SIDE, dtype=guess.mu.dtype, device=guess.mu.device)
    corners = torch.cartesian_prod(axis, axis)
    needed = torch.ones(len(rows), len(corners), dtype=torch.bool, device=rows.device)
    return Grid(corners, SIDE, rows, needed)


def at_edge(sums: Sums, grid: Grid, half: float) -> Tensor:
    """Whether f has not vanished in the blocks along one of the square's four edges, `(R,)`."""
    low, high = grid.corners.amin(1) <= -half, grid.corners.amax(1) + SIDE >= half
    return sums.log_f[:, low | high].amax(1) > sums.log_f.amax(1) - EDGE


def refine(
    log_f: LogFunction, guess: Guess, grid: Grid, sums: Sums, tolerance: float
) -> Iterator[tuple[Tensor, Integrals]]:
    """Halve the step until nothing moves by more than the tolerance: (rows, their integrals), as they converge.

    Two grids that are both too coarse may agree by chance, so the step must come down to twice the guess's width, too.
    """
    fine_enough = 2 * guess.sigma().amin(1).clamp(min=NARROW)  # (N,)
    before = totals(sums, grid)
    while len(grid.rows):
        if grid.step / 2 < FINEST:
            raise RuntimeError(
                f"The quadrature has not converged to {tolerance} nats on a grid of step {grid.step:g} for "
                f"{len(grid.rows)} integrals: give a larger tolerance, or use importance sampling."
            )
        grid = cut(grid._replace(needed=matters(sums, grid, guess, tolerance)))
        sums = block_sums(log_f, guess, grid)
        after = totals(sums, grid)
        moved = movement(before, after, (guess.sigma()[grid.rows] < NARROW).any(1))
        done = (moved <= tolerance) & (grid.step <= fine_enough[grid.rows])
        yield grid.rows[done], Integrals(after[0][done], after[1][done], moved[done])
        grid, sums, before = grid.of(~done), sums.of(~done), (after[0][~done], after[1][~done])


def movement(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], narrow: Tensor) -> Tensor:
    """How far integral and bound moved, the larger, `(R,)`; of narrow guesses the integral alone."""
    integral, bound = ((new - old).abs() for old, new in zip(before, after, strict=True))
    return torch.maximum(integral, torch.where(narrow, 0.0, bound))


def matters(sums: Sums, grid: Grid, guess: Guess, tolerance: float) -> Tensor:
    """Which blocks must be refined for which integral, `(R, M)`: those not too far below its heaviest one."""
    depth = 14 - log(tolerance)  # what is left out, block by block, is a millionth of the tolerance
    if grid.side == SIDE:
        depth *= 2  # the first grid may miss a narrow peak
    # a block's share of the bound is its mass times the mean ratio there, which may be thousands of nats
    shares = (sums.log_f, sums.log_q + sums.ratio.abs().log1p())
    to_f, to_bound = (share > share.amax(1, keepdim=True) - depth for share in shares)
    wide = guess.sigma()[grid.rows].amin(1, keepdim=True) >= NARROW
    return to_f | (to_bound & wide)


def cut(grid: Grid) -> Grid:
    """The blocks that some integral needs, each cut into four, with as many points as the whole had."""
    used, half = grid.needed.any(0), grid.side / 2
    quarters = torch.cartesian_prod(*[grid.corners.new_tensor([0, half])] * 2)
    corners = (grid.corners[used, None] + quarters).flatten(0, 1)
    return Grid(corners, half, grid.rows, grid.needed[:, used].repeat_interleave(4, 1))


def block_sums(log_f: LogFunction, guess: Guess, grid: Grid) -> Sums:
    """The sums over the points of each block, for the integrals that need it; -inf (no mass) for the others."""
    axis = (torch.arange(POINTS, dtype=guess.mu.dtype, device=guess.mu.device) + 0.5) * grid.step
    inside = torch.cartesian_prod(axis, axis)  # the points of a block, from its corner
    nothing = guess.mu.new_full(grid.needed.shape, -torch.inf)
    sums = Sums(nothing, nothing.clone(), torch.zeros_like(nothing))
    for blocks in torch.arange(len(grid.corners), device=grid.corners.device).split(TOGETHER):
        needed = grid.needed[:, blocks]  # (R, b)
        places = needed.any(1).nonzero()[:, 0]
        z, rows = (grid.corners[blocks, None] + inside).flatten(0, 1), grid.rows[places]
        f, q = (values.unflatten(1, (len(blocks), -1)) for values in (log_f(z, rows), guess.log_density(z, rows)))
        found = Sums(f.logsumexp(2), q.logsumexp(2), (q.softmax(2) * (f - q)).sum(2))
        for part, value in zip(sums, found, strict=True):
            part[places[:, None], blocks] = torch.where(needed[places], value, part[places[:, None], blocks])
    return sums


def totals(sums: Sums, grid: Grid) -> tuple[Tensor, Tensor]:
    """(log ∫ f, E_q[log f - log q]) by the midpoints of the grid, `(R,)` each."""
    log_cell, log_mass = 2 * log(grid.step), sums.log_q.logsumexp(1)
    # q put on the grid is q_g = q(z_g) / mass: Σ_g q_g log (f(z_g) / q_g), below the grid's log ∫ f by Jensen
    bound = (sums.log_q.softmax(1) * sums.ratio).sum(1) + log_mass
    return sums.log_f.logsumexp(1) + log_cell, bound + log_cell


def own_grid_bound(log_f: LogFunction, guess: Guess, row: Tensor, points: int) -> Tensor:
    """E_q[log f - log q] of one integral, `(1,)`, by a grid of points² around its own guess, to seven deviations."""
    axis = torch.linspace(-7, 7, points, dtype=guess.mu.dtype, device=guess.mu.device)
    u = torch.cartesian_prod(axis, axis)
    sigma = guess.sigma()[row]  # (1, 2)
    weights = (-u.square().sum(1) / 2).softmax(0)
    log_q = -(u.square() / 2 + 0.5 * log(2 * torch.pi) + sigma.log()).sum(1)
    return (weights * (log_f(guess.mu[row] + sigma * u, row) - log_q)).sum(1)
