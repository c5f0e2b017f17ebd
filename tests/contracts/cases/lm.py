"""The language model: lambda is the temperature, which leaves fewer of the words it might have said."""

from mad_ray.core.samples import Event
from mad_ray.data import Language
from mad_ray.families import LanguageModel
from tests.contracts.family_case import Case, entropy

CASE = Case(
    LanguageModel(n_steps=3, layers=1, width=16, heads=2, batch_size=8, chunk=4),
    Language(n_words=40, n_rules=8, length=8),
    (Event((1, 8, 8), "uint8", 10), Event((8,), "float64"), Event((8,), "int32"), Event((2, 8), "int32", n_symbols=4)),
    trained=LanguageModel(n_steps=60, layers=1, width=32, heads=2, learning_rate=1e-2),
    spread=entropy,
)
