"""A model family of your own: principal components of images, class by class."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.samples import Samples


@dataclass(frozen=True)
class PrincipalComponents:
    """N(mean, lambda C) of each class, C on its first principal components. Images uint8, with labels."""

    name: ClassVar[str] = "principal_components"
    max_cohort: ClassVar[int] = 1  # trajectories in one fit
    redraw: ClassVar[bool] = False  # samples are kept, not drawn again
    distributed: ClassVar[bool] = False  # one worker fits
    span: ClassVar[int] = 1  # generations in one commit

    n_components: int = 12
    """Principal components of each class."""
    chunk: int = 256
    """Samples drawn together."""

    def check(self, event, loop, workers):
        """What cannot be, in one line, before anything starts."""
        if event.dtype != "uint8" or event.n_classes < 1:
            raise InvalidInput("family=principal_components needs labelled images; use data=digits, for example")

    def fit(self, data, keys, progress):
        """D^t -> named arrays: mean [classes, pixels], root [classes, pixels, n_components]."""
        batches = list(data.batches(4096))
        x = np.concatenate([batch.x[0] for batch in batches]).reshape(data.n, -1) / 255.0
        label = np.concatenate([batch.label[0] for batch in batches])
        means, roots = [], []
        for c in range(data.event.n_classes):
            rows = x[label == c]
            _, scale, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
            root = axes.T * scale / np.sqrt(len(rows) - 1)
            means.append(rows.mean(axis=0))
            roots.append(root[:, : self.n_components])
            progress((c + 1) / data.event.n_classes)
        return {"mean": np.stack(means), "root": np.stack(roots), "shape": np.array(data.event.shape)}

    def sample(self, model, start, stop, bias, keys):
        """Samples start..stop: sample i is of class i modulo the classes, from the random stream (..., i)."""
        n_classes, _, n_components = model["root"].shape
        label = np.arange(start, stop) % n_classes
        images = np.empty((stop - start, *model["shape"]), np.uint8)
        for image, i, c in zip(images, range(start, stop), label, strict=True):
            z = keys.generator(0, i).standard_normal(n_components)
            x = model["mean"][c] + np.sqrt(bias) * model["root"][c] @ z
            image[:] = np.clip(np.round(255 * x), 0, 255).reshape(model["shape"])
        return Samples.of(images[None], label[None])
