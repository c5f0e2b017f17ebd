"""Reading a config: strict YAML, `extends:`, and `--set a.b=c`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mad_ray.core.errors import InvalidInput
from mad_ray.families.own import look_in

# In these blocks another kind of thing has other fields: naming a new one drops what was said of the old.
DISCRIMINATORS = {"data": "name", "family": "name", "loop": "kind"}
MAX_TEXT = 4 << 20
MAX_NODES = 200_000
"""Values of a config, anchors written out: a few lines of them can stand for more than any memory holds."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, where plain YAML keeps the last, and reads 1e-3 as a number."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here, not at construction: by then `<<` has laid merged keys beside those that override them.
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            key = key_node.tag, key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} stands twice in one mapping", key_node.start_mark
                )
            seen.add(key)
        return node


# YAML 1.1 takes 1e-3 for text, as it has no dot; YAML 1.2 and everybody who writes it mean the number.
NUMBER_WITHOUT_A_DOT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER_WITHOUT_A_DOT, list("-+.0123456789"))


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The file's mapping, with what it extends merged beneath it and `a.b=c` overrides laid on top.

    From now on the user's own modules are found in the folders of these files, and in the working directory.
    """
    look_in(Path.cwd())
    merged = _load(Path(path), ())
    for override in overrides:
        merged = merge(merged, parse_override(override))
    return merged


def parse_yaml(text: str, name: str) -> Any:
    """YAML text -> value. InvalidInput with the line where it is not YAML."""
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _require_bounded(node, name)
        return loader.construct_document(node)
    except InvalidInput:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}, line {mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InvalidInput(f"{where}: not valid YAML ({problem}); correct the file") from error
    except (ValueError, RecursionError) as error:
        # A date such as 2020-13-45, an endless number, a thousand brackets.
        raise InvalidInput(f"{name}: not a value that can be read ({error}); correct it") from error


def _require_bounded(root: yaml.Node, name: str) -> None:
    """InvalidInput if anchors, written out, come to more than MAX_NODES values, or one holds itself."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            # Met again before it is known: it holds itself.
            sizes[id(node)] = MAX_NODES + 1
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            if isinstance(node, yaml.MappingNode):
                parts = [part for pair in parts for part in pair]
            sizes[id(node)] = 1 + sum(map(size, parts))
        return sizes[id(node)]

    if size(root) > MAX_NODES:
        raise InvalidInput(
            f"{name}: more than {MAX_NODES:,} values once every *anchor is written out, or one that holds itself; "
            "shorten it"
        )


def merge(base: Any, over: Any, key: str = "") -> Any:
    """`over` laid on `base`: mappings merge, everything else is replaced; a new kind of thing starts from nothing."""
    if isinstance(base, str) and isinstance(over, dict) and key in ("data", "family"):
        # The other way round: settings over a bare name.
        base = {"name": base}
    if not (isinstance(base, dict) and isinstance(over, dict)):
        # `family: ddpm` over `family: {name: ddpm, ...}` names what is already there.
        if isinstance(base, dict) and isinstance(over, str) and base.get(DISCRIMINATORS.get(key, "")) == over:
            return base
        return over
    kind = DISCRIMINATORS.get(key)
    if kind and kind in over and over[kind] != base.get(kind):
        return over
    return {**base, **{k: merge(base[k], v, k) if k in base else v for k, v in over.items()}}


def _load(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    path = _resolved(path)
    look_in(path.parent)
    if path in children:
        raise InvalidInput(f"{path}: extends itself through {children[-1]}; break the circle")
    text = _read(path)
    config = parse_yaml(text, str(path))
    if not isinstance(config, dict):
        raise InvalidInput(f"{path}: a config is a mapping with the blocks study: and run:")
    parent = config.pop("extends", None)
    if parent is None:
        return config
    if not isinstance(parent, str):
        raise InvalidInput(f"{path}: extends={parent!r}; give one path, relative to this file")
    return merge(_load(path.parent / parent, (*children, path)), config)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (ValueError, OSError, RuntimeError) as error:
        # A zero byte, a circle of links.
        raise InvalidInput(f"{str(path)!r}: cannot be a config's path ({error}); correct it") from error


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            # A device may have no end.
            text = file.read(MAX_TEXT + 1)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such config file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from error
    if len(text) > MAX_TEXT:
        raise InvalidInput(f"{path}: more than {MAX_TEXT:,} characters; no config is that long")
    return text


def parse_override(override: str) -> dict[str, Any]:
    """`a.b=c` as a mapping to be merged."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise InvalidInput(f"--set {override}: expected a.b=value, for example study.loop.bias=0.5")
    value = parse_yaml(text, f"--set {path}")
    for part in reversed(path.split(".")):
        value = {part: value}
    return value
