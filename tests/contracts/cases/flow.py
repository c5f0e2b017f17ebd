"""The flow: the base N(0, lambda I) spreads the samples of a banana the less, the smaller lambda is."""

from mad_ray.core.samples import Event
from mad_ray.data import Rosenbrock
from mad_ray.families import Flow
from tests.contracts.family_case import Case

CASE = Case(
    Flow(n_couplings=2, hidden=8, epochs=0, n_steps=3, batch_size=8, chunk=4),
    Rosenbrock(),
    (Event((1, 8, 8), "uint8", 10), Event((2, 2), "float64"), Event((1,), "float64")),
    trained=Flow(n_couplings=4, hidden=32, epochs=0, n_steps=400),
    n_train=2000,
    n_spread=8192,
)
