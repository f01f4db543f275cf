"""The Inception-style score: is each picture clearly something, and are all together many things?"""

from __future__ import annotations

import numpy as np

from ..errors import DataError

SPLITS = 10


def class_score(logits: np.ndarray, splits: int = SPLITS) -> tuple[float, float]:
    """(mean, standard deviation) over splits of exp(E KL(p(y|x) || p(y))) (Salimans et al. 2016, section 4).

    logits (N, classes). From 1, where all pictures look alike to the classifier, to the number of classes.
    The splits are consecutive, as in the original; there are fewer where a split would have less than two
    pictures.
    """
    if logits.ndim != 2 or len(logits) < 2:
        raise DataError(f"A score takes the (N, classes) logits of at least 2 pictures, got {logits.shape}.")
    z = np.asarray(logits, np.float64)
    log_p = z - z.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    found = [_score(part) for part in np.array_split(log_p, min(splits, len(z) // 2))]
    return float(np.mean(found)), float(np.std(found))


def _score(log_p: np.ndarray) -> float:
    p = np.exp(log_p)
    mean = p.mean(0)
    log_mean = np.log(mean, out=np.zeros_like(mean), where=mean > 0)  # p is zero there too
    return float(np.exp((p * (log_p - log_mean)).sum(1).mean()))
