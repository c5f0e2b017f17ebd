"""The studies that are broken, and what running them must always come to."""

from typing import Any

from tests.onray.studies import SLOW

# Three cohorts of three seeds, two spans each: 1..16 and 17..20.
GAUSSIAN: dict[str, Any] = {
    "name": "gaussian",
    "n_generations": 20,
    "seeds": 3,
    "data": {"name": "gaussian", "d": 2},
    "family": "gaussian",
    "metrics": {"n": 80},
    "cases": {
        "synthetic": {"loop": {"n_initial": 50, "n_synthetic": 50}},
        "fresh": {"loop": {"n_initial": 50, "n_fresh": 20, "n_synthetic": 50}},
        "pool": {"loop": {"n_initial": 50, "n_synthetic": 20, "accumulate": True}},
    },
}
CHECKPOINT_STEPS = 2
# Real images, a network, two trajectories of two generations, two shards and two checkpoints each.
DDPM: dict[str, Any] = {
    "name": "ddpm",
    "n_generations": 2,
    "seeds": 2,
    "data": "digits",
    "family": {
        **{"name": "ddpm", "n_steps": 6, "batch_size": 16, "channels": [8, 16]},
        **{"sampler_steps": 1, "chunk": 64},
    },
    "loop": {"n_initial": 64, "n_synthetic": 64},
    "metrics": {"n": 300, "names": ["frechet", "precision"]},
}
HERE = {"runtime": "local", "checkpoint_steps": CHECKPOINT_STEPS, "checkpoint_s": 0.0}

# On Ray: time enough to be killed at any moment; three shards a generation.
LAB: dict[str, Any] = {**SLOW, "name": "lab", "family": {"name": "lab", "fit_s": 0.4, "shard_s": 0.2}}
# On Ray: two workers share each fit, which saves its progress every 20 steps.
SHARED_STEPS = 20
SHARED: dict[str, Any] = {
    **DDPM,
    "name": "shared",
    "n_generations": 2,
    "seeds": 1,
    "family": {**DDPM["family"], "n_steps": 120, "micro_batches": 2},
}
