"""Frechet distance on the features of a fixed network (Heusel et al., 2017).

The network is this project's judge, so the figures compare versions of the default model with each
other and with nothing else: they are no FID, which is defined on Inception features.
"""

import numpy as np


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between Gaussians fitted to features (N, F) and (M, F); 0 for the same distribution.

    Raises:
        ValueError: fewer than two samples, or different widths.
    """
    if min(len(one), len(other)) < 2 or one.shape[1] != other.shape[1]:
        raise ValueError("two sets of at least two samples of one width are needed")
    mean = one.mean(0) - other.mean(0)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # The trace of (first second)^(1/2) is the sum of the roots of the product's eigenvalues.
    eigenvalues = np.linalg.eigvals(first @ second).real.clip(min=0)
    return float(mean @ mean + np.trace(first) + np.trace(second) - 2 * np.sqrt(eigenvalues).sum())
