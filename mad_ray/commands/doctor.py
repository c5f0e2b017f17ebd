"""mad-ray doctor: is this machine, and this store, fit for a study?"""

import os
import shutil
from collections.abc import Callable

from mad_ray.core.errors import MadError
from mad_ray.engine.provenance import versions


def doctor(store_url: str | None) -> int:
    """Print one line per check; 0 if all are well, 2 if one is not."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python and packages", _packages),
        ("torch", _torch),
        ("diffusers and clean-fid", _importable),
        ("ray", _ray),
        ("disk", _disk),
    ]
    if store_url is not None:
        checks.append((f"store {store_url}", lambda: _store(store_url)))
    n_bad = 0
    for name, check in checks:
        try:
            print(f"ok   {name}: {check()}", flush=True)
        except Exception as error:  # whatever is broken here is what the command is to tell
            n_bad += 1
            text = " ".join(str(error).split())
            print(f"BAD  {name}: {text if isinstance(error, MadError) else f'{type(error).__name__}: {text}'}")
    return 2 if n_bad else 0


def _packages() -> str:
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def _torch() -> str:
    import torch

    gpus = torch.cuda.device_count()
    return f"{torch.__version__}, {gpus} GPUs" if gpus else f"{torch.__version__}, no GPU: fits run on the CPU"


def _importable() -> str:
    from mad_ray.shims import mend_torchvision

    mend_torchvision()
    import cleanfid.fid
    import diffusers

    return f"diffusers {diffusers.__version__}, {cleanfid.fid.__name__}"


def _ray() -> str:
    from mad_ray.onray.cluster import ray_session
    from mad_ray.onray.resources import Execution

    with ray_session(Execution(max_concurrent=1), 1, 2):
        import ray

        offered = ray.cluster_resources()
    where = os.environ.get("RAY_ADDRESS") or "started here"
    return f"{where}: {offered.get('CPU', 0):g} CPUs, {offered.get('GPU', 0):g} GPUs"


def _disk() -> str:
    free = shutil.disk_usage(".").free
    if free < 1 << 30:
        raise MadError(f"{free >> 20} MiB free in this folder; a study with images wants at least 1 GiB")
    return f"{free >> 30} GiB free in this folder"


def _store(url: str) -> str:
    from mad_ray.ledger.open import open_store
    from mad_ray.ledger.store import probe

    probe(open_store(url))
    return "reads, writes, and honours conditional writes"
