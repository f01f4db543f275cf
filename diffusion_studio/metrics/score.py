"""The Inception-style score: whether each picture is clearly of one class, and all together of many."""

from __future__ import annotations

import numpy as np

from ..errors import DataError

SPLITS = 10


def class_score(logits: np.ndarray, splits: int = SPLITS) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(E KL(p(y|x) || p(y))) (Salimans et al. 2016, section 4).

    logits (N, classes). The score goes from 1, if the classifier sees the same in all pictures, to the number
    of classes. Splits are consecutive, as in the original; there are fewer if a split would have less than
    two pictures. Raises `DataError` for fewer than two pictures.
    """
    if logits.ndim != 2 or len(logits) < 2:
        raise DataError(f"A score takes the (N, classes) logits of at least 2 pictures, got {logits.shape}.")
    z = np.asarray(logits, np.float64)
    log_p = z - z.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    scores = [_score(part) for part in np.array_split(log_p, min(splits, len(z) // 2))]
    return float(np.mean(scores)), float(np.std(scores))


def _score(log_p: np.ndarray) -> float:
    p = np.exp(log_p)
    mean = p.mean(0)
    log_mean = np.log(mean, out=np.zeros_like(mean), where=mean > 0)  # p is also zero there
    return float(np.exp((p * (log_p - log_mean)).sum(1).mean()))
