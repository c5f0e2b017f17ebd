"""The studies on which every way of running is compared."""

from typing import Any

# Real images, a network, two shards of samples a generation, two trajectories.
DIGITS: dict[str, Any] = {
    "name": "tiny",
    "n_generations": 2,
    "seeds": 2,
    "data": "digits",
    "family": {"name": "ddpm", "n_steps": 20, "channels": [16, 32], "sampler_steps": 5, "micro_batches": 2},
    "loop": {"n_initial": 200, "n_synthetic": 200},
    "metrics": {"n": 300, "names": ["frechet", "kernel", "precision", "recall", "density", "coverage"]},
}
# Cheap and slow: time enough to be killed in every stage. Three shards a generation.
SLOW: dict[str, Any] = {
    "name": "slow",
    "n_generations": 3,
    "seeds": 2,
    "data": {"name": "gaussian", "d": 2},
    "family": {"name": "lab", "fit_s": 0.5, "shard_s": 0.5},
    "loop": {"n_initial": 300, "n_synthetic": 300},
    "metrics": {"n": 600, "names": ["frechet"]},
}
