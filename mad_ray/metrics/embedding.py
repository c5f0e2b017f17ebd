"""One map of many samples in the plane: t-SNE, the same bytes each time."""

from collections.abc import Sequence

import numpy as np

PERPLEXITY = 30.0
COMPONENTS = 50
"""Of more columns than this, t-SNE gets the leading principal components, as van der Maaten and Hinton 2008 do."""
_SEED = 0


def embed_jointly(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Features [n_i, d] of several sets -> places in the plane [n_i, 2], float32, of one map that all share.

    t-SNE (van der Maaten and Hinton 2008; Barnes-Hut, van der Maaten 2014) of all rows together, started from their
    principal components, in one thread. Distances between far points mean little, and so does density; what mixes with
    what, and what has become a spot of its own, can be seen. ValueError below five rows.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([np.asarray(part, np.float64) for part in parts])
    if len(rows) < 5:
        raise ValueError(f"an embedding of {len(rows)} samples shows nothing; give more")
    with threadpool_limits(1):
        if rows.shape[1] > COMPONENTS and len(rows) > COMPONENTS:
            rows = PCA(COMPONENTS, svd_solver="full").fit_transform(rows)
        # Columns of a matrix that has none to spread along would be divided by nothing.
        start = "pca" if rows.std(axis=0).max() > 0 and rows.shape[1] >= 2 else "random"
        found = TSNE(
            perplexity=min(PERPLEXITY, (len(rows) - 1) / 3), init=start, random_state=_SEED, n_jobs=1
        ).fit_transform(rows)
    stops = np.cumsum([len(part) for part in parts])[:-1]
    return list(np.split(found.astype(np.float32), stops))
