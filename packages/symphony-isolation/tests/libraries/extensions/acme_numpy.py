"""Linear algebra with numpy, whose BLAS has threads of its own, in threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from symphony_sdk import Context, operator, provides_operators


def _solve(seed: int) -> list[float]:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(300, 300))
    solution = np.linalg.solve(matrix, np.ones(300))
    singular = np.linalg.svd(matrix @ matrix.T, compute_uv=False)
    spectrum = np.abs(np.fft.rfft(random.normal(size=4096)))
    return [round(float(value), 3) for value in (np.abs(solution).max(), singular[0], spectrum.sum())]


@operator("acme.numpy.work")
def work(ctx: Context) -> dict[str, list[float]]:
    """Solve equations in threads; keep an array, and read it back mapped into memory."""
    with ThreadPoolExecutor(4) as pool:
        solved = list(pool.map(_solve, range(4)))
    np.save("kept.npy", np.arange(1_000_000, dtype=np.float64))
    mapped = np.load("kept.npy", mmap_mode="r")
    return {str(seed): values for seed, values in enumerate(solved)} | {"mapped": [float(mapped.sum())]}


@provides_operators
def symphony_operators():
    yield work
