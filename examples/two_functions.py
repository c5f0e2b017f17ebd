"""Two plain functions as a model family: a bootstrap, which draws its training images again with noise."""

import numpy as np


def fit(images, noise=12.0):
    """images [n, channels, height, width] uint8 -> the model: named arrays."""
    return {"images": images, "mean": images.mean(axis=0), "noise": np.array(noise)}


def sample(model, n, bias):
    """n images: remembered ones at random, with noise; all is drawn towards the mean by the factor sqrt(bias)."""
    images = model["images"][np.random.randint(len(model["images"]), size=n)]
    noisy = images - model["mean"] + model["noise"] * np.random.standard_normal(images.shape)
    return np.clip(np.round(model["mean"] + np.sqrt(bias) * noisy), 0, 255).astype(np.uint8)
