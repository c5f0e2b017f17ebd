"""The study that a reading command is about: named by a config, or by store and name alone."""

from collections.abc import Sequence
from pathlib import Path

from mad_ray.config import load_config, parse_config
from mad_ray.core.errors import InvalidInput
from mad_ray.ledger.open import open_store
from mad_ray.ledger.store import Store


def open_target(
    config: str | None, overrides: Sequence[str], store: str | None, study: str | None
) -> tuple[Store, str, Path]:
    """(store, study name, output folder). The config is read but not expanded: its data need not be at hand."""
    if config is not None:
        parsed = parse_config(load_config(config, overrides))
        name = study or parsed.study.name
        return open_store(store or parsed.run.store), name, Path(parsed.run.output_of(name))
    if store is None or study is None:
        raise InvalidInput("name the study: give its CONFIG, or both --store and --study")
    return open_store(store), study, Path("runs") / study
