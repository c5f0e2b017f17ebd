"""A diffusers pipeline whose network knows the ten digits and none: lambda = 1/(1 + w) by classifier-free guidance."""

import atexit
import shutil
import tempfile

from mad_ray.core.samples import Event
from mad_ray.data import Digits
from mad_ray.families import Pipeline
from tests.contracts.family_case import Case, within_class_variance
from tests.families.pipelines import save_pipeline

FOLDER = tempfile.mkdtemp(prefix="mad-ray-pipeline-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
save_pipeline(FOLDER, n_class_embeds=11, scheduler={"num_train_timesteps": 500})

CASE = Case(
    Pipeline(path=FOLDER, n_steps=3, batch_size=8, sampler_steps=3, chunk=4),
    Digits(),
    (Event((3,), "float64"), Event((1, 8, 8), "float32", 10), Event((1, 28, 28), "uint8", 10)),
    trained=Pipeline(path=FOLDER, n_steps=150, learning_rate=8e-3, sampler_steps=10),
    spread=within_class_variance,
)
