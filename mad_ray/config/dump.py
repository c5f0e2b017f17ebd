"""Writing a config: one YAML text without `extends:`, which reads back as the same mapping."""

from typing import Any

import yaml

from mad_ray.config.load import NUMBER_WITHOUT_A_DOT


class _StrictDumper(yaml.SafeDumper):
    """SafeDumper that quotes what our loader would take for a number: the text 1e3 stays a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_StrictDumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER_WITHOUT_A_DOT, list("-+.0123456789"))


def dump_config(config: dict[str, Any]) -> str:
    """A loaded mapping -> YAML text, of which `load_config` makes the same mapping."""
    return yaml.dump(config, Dumper=_StrictDumper, sort_keys=False, allow_unicode=True)
