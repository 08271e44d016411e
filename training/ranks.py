"""How well scores rank damaged before whole, for all that is measured here. Ties count one half."""

import numpy as np


def auroc(bad: np.ndarray, good: np.ndarray) -> float:
    """Share of the pairs of a damaged and a whole item in which the damaged one has the higher score; not a number without either."""
    if not len(bad) or not len(good):
        return float("nan")
    order = np.sort(good)
    return float(((np.searchsorted(order, bad, "left") + np.searchsorted(order, bad, "right")) / 2 / len(good)).mean())


def auroc_of(scores: np.ndarray, damaged: np.ndarray) -> float:
    """The same of all items' scores and whether each is damaged."""
    return auroc(scores[damaged], scores[~damaged])
