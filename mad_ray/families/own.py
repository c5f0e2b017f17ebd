"""The user's own code: what a reference `module:name` names, which folders hold it, and what it was when it ran."""

import difflib
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mad_ray.core.errors import InvalidInput

REFERENCE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
"""package.module:Name, as a regular expression."""

METHODS = {
    "check": ("event", "loop", "workers"),
    "fit": ("data", "keys", "progress"),
    "sample": ("model", "start", "stop", "bias", "keys"),
}
"""What a family's class must be able to do, and with what."""
VALUES: dict[str, tuple[type, str]] = {
    "name": (str, "a short name for messages and reports"),
    "max_cohort": (int, "1, unless a fit holds several trajectories"),
    "redraw": (bool, "False, unless sampling is cheaper than keeping samples"),
    "distributed": (bool, "False, unless workers can share a fit"),
    "span": (int, "1, unless generations are cheap"),
    "chunk": (int, "the number of samples computed together, for example 256"),
}
"""What a family's class must say of itself: type, and what to say where in doubt."""


_ADDED: set[str] = set()


def look_in(folder: Path) -> None:
    """Modules are looked for in this folder too, after all others, so that none hides an installed package."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        _ADDED.add(str(folder))


def named(reference: str, field: str) -> Any:
    """What `package.module:Name` names. InvalidInput, which begins with the field, if there is no such thing."""
    start = f"{field}={reference}"
    if not re.fullmatch(REFERENCE, reference):
        raise InvalidInput(f"{start}: expected package.module:Name, for example my_module:MyFamily")
    module_name, _, name = reference.partition(":")
    module = _import(module_name, start)
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, dir(module), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "correct the name"
        raise InvalidInput(f"{start}: {module.__file__} has no {name}; {hint}")
    return getattr(module, name)


def _import(name: str, start: str) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    # A module written a moment ago is found too.
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise InvalidInput(
                f"{start}: there is no module {error.name} in the config's folder, in {Path.cwd()} or among installed "
                "packages; correct the name, or run where the module is"
            ) from error
        raise InvalidInput(f"{start}: {name} imports {error.name}, which is not installed; install it") from error
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"{start}: importing {name} raises {type(error).__name__} ({error}); mend the module"
        ) from error


def family_class(reference: str, field: str, known: Collection[str]) -> type:
    """The class that the reference names, seen to be a frozen dataclass with all that a family has (family.py).

    InvalidInput, one line, for the first thing that is missing. known: names that are taken.
    """
    kind, start = named(reference, field), f"{field}={reference}"
    name = reference.partition(":")[2]
    if inspect.isfunction(kind):
        raise InvalidInput(
            f"{start}: {name} is a function; for two functions fit and sample use {{name: functions, fit_function: "
            "..., sample_function: ...}"
        )
    if not isinstance(kind, type):
        raise InvalidInput(f"{start}: {name} is no class but {type(kind).__name__}; name the family's class")
    if not is_dataclass(kind) or not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise InvalidInput(f"{start}: {name} is no frozen dataclass; put @dataclass(frozen=True) above the class")
    for method, parameters in METHODS.items():
        _require_method(kind, method, parameters, start)
    for value, (_, meaning) in VALUES.items():
        if not hasattr(kind, value) and value not in (f.name for f in fields(kind)):
            raise InvalidInput(f"{start}: {name} lacks {value}; add it to the class: {meaning}")
    if getattr(kind, "name", None) in known:
        raise InvalidInput(f"{start}: {name}.name is {kind.name!r}, which is another family's; choose a new name")  # type: ignore[attr-defined]
    return kind


def _require_method(kind: type, method: str, parameters: tuple[str, ...], start: str) -> None:
    head = f"def {method}(self, {', '.join(parameters)})"
    found = getattr(kind, method, None)
    if not callable(found):
        raise InvalidInput(f"{start}: {kind.__name__} lacks {method}; add {head}")
    try:
        inspect.signature(found).bind(None, *parameters)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{start}: {kind.__name__}.{method} cannot be called as {head}; change it so") from error


def check_settings(family: Any, start: str) -> None:
    """InvalidInput if what a family of the user's own says of itself has the wrong type, or its settings no hash."""
    for name, (kind, meaning) in VALUES.items():
        value = getattr(family, name)
        is_kind = type(value) is kind  # True is an int too, and no number
        if not is_kind or (kind is int and value < 1):
            raise InvalidInput(f"{start}: {type(family).__name__}.{name} is {value!r}; set it to {meaning}")
    for field in fields(family):
        try:
            hash(getattr(family, field.name))
        except TypeError as error:
            raise InvalidInput(
                f"{start}: its field {field.name} is a {type(getattr(family, field.name)).__name__}, which can change; "
                "make it a tuple, a number or a text"
            ) from error


def own_modules(family: Any) -> tuple[str, ...]:
    """Modules outside mad_ray that the family consists of; none for those that mad_ray brings."""
    module = type(family).__module__
    return getattr(family, "modules", () if module.partition(".")[0] == "mad_ray" else (module,))


def own_code(family: Any) -> dict[str, str]:
    """Module -> SHA-256 of its source file when this process first asked, of the user's own code."""
    found = {name: _digest(name) for name in own_modules(family)}
    return {name: digest for name, digest in found.items() if digest}


@cache
def _digest(module: str) -> str:
    file = _file(module)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def own_folders(families: Iterable[Any]) -> tuple[str, ...]:
    """The folders that `look_in` was told of and the user's own code lies in: other processes know nothing of them."""
    modules = {name for family in families for name in own_modules(family)}
    return tuple(sorted(_ADDED & {str(root_of(name)) for name in modules}))


def _file(module: str) -> Path:
    return Path(importlib.import_module(module).__file__ or "").resolve()


def root_of(module: str) -> Path:
    """The folder in which the module's first package, or the module itself, lies."""
    file = _file(module)
    n_dots = module.count(".") + (file.name == "__init__.py")
    return file.parents[n_dots]
