"""What became of the classes: how many are still drawn, and precision and recall within each."""

import numpy as np

from mad_ray.metrics.neighbours import neighbours

ALIVE = 0.1
"""A class is alive while it holds at least this part of the share that it has of real samples."""


def classes_alive(label: np.ndarray, real_label: np.ndarray, n_classes: int) -> float:
    """How many classes hold a tenth, at least, of the share of the samples that they hold of real ones.

    label [n_s]: the classes that a classifier sees in the samples, so that those of a model that has none count, too;
    real_label [n_r]: of real samples. Classes without a real sample are not counted. NaN without samples.
    """
    if not len(label) or not len(real_label):
        return float("nan")
    share = np.bincount(label, minlength=n_classes) / len(label)
    expected = np.bincount(real_label, minlength=n_classes) / len(real_label)
    return float(np.count_nonzero((expected > 0) & (share >= ALIVE * expected)))


def class_neighbours(
    *,
    real: np.ndarray,
    real_label: np.ndarray,
    synthetic: np.ndarray,
    synthetic_label: np.ndarray,
    n_classes: int,
    k: int = 5,
) -> tuple[np.ndarray, np.ndarray]:
    """(precision [n_classes], recall [n_classes]) of each class's samples against its real ones alone.

    As `neighbours`, Eq. (1) and (2) of Kynkaanniemi et al. 2019, within a class: a sample drawn for class 3 that looks
    like a real 5 is not precise. Features real [n_r, d], synthetic [n_s, d] with their labels, which are the classes
    that samples were drawn for. NaN where a class has k samples or fewer on either side.
    """
    precision, recall = np.full(n_classes, np.nan), np.full(n_classes, np.nan)
    for c in range(n_classes):
        of_real, of_synthetic = real[real_label == c], synthetic[synthetic_label == c]
        if min(len(of_real), len(of_synthetic)) > k:
            found = neighbours(real=of_real, synthetic=of_synthetic, k=k)
            precision[c], recall[c] = found.precision, found.recall
    return precision, recall
