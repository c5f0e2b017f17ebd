"""What to say of images that cannot be used."""

import os
from collections.abc import Sequence

from mad_ray.core.errors import InvalidInput
from mad_ray.data.decoded import Bad
from mad_ray.downloads import cache_folder

UNREADABLE, OTHER_SIZE, UNLABELLED = "unreadable", "of another size", "without a class"


def refusal(where: str, dataset: str, size: int, bad: Sequence[Bad]) -> InvalidInput:
    """One line: the first such image, how many there are, and what to do. All of them go to a list in the cache."""
    first = bad[0]
    n_alike = sum(line.problem == first.problem for line in bad)
    found, remedy = {
        UNREADABLE: (f"cannot be read as an image ({first.found})", "mend or remove"),
        OTHER_SIZE: (
            f"has {first.found} pixels where data.resize=none and data.size={size} want {size}x{size}",
            "set data.resize to crop, fit or squash, or scale or remove",
        ),
        UNLABELLED: (f"is in no class ({first.found})", "set data.label to none, or fill in or remove"),
    }[first.problem]
    other = f", and {len(bad) - n_alike:,} images are {_other(bad)}" if n_alike < len(bad) else ""
    how_many = "it is the only one" if n_alike == 1 else f"it is the first of {n_alike:,}"
    what = "it" if n_alike == 1 else "them"
    return InvalidInput(f"{where}: {first.name} {found}; {how_many}{other}: {remedy} {what}{_listed(dataset, bad)}")


def _other(bad: Sequence[Bad]) -> str:
    return " or ".join(dict.fromkeys(line.problem for line in bad if line.problem != bad[0].problem))


def _listed(dataset: str, bad: Sequence[Bad]) -> str:
    """Where all of them are listed; nothing for one, or where the cache cannot be written."""
    if len(bad) == 1:
        return ""
    path = cache_folder() / "datasets" / f"{dataset}-bad.txt"
    try:
        os.makedirs(path.parent, exist_ok=True)
        path.write_text("".join(f"{line.name}\t{line.problem}\t{line.found}\n" for line in bad))
    except OSError:
        return ""
    return f" (all are listed in {path})"
