"""Repairs of other packages, each in one place, each doing nothing where nothing is broken."""

import importlib.machinery
import importlib.util
import sys
from typing import Any

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

# torch forgets a Library's operators once the object is collected.
_library: Any = None


def mend_torchvision() -> None:
    """Let `import torchvision` work beside a torch build that its compiled operators do not fit.

    torchvision's wheel links CUDA; with CPU torch its operators do not load and its import raises "operator
    torchvision::nms does not exist", although diffusers and clean-fid need none of them. Declares the schemas of the
    missing operators; does nothing where torchvision is absent, healthy, or mended already. Call before the import.
    """
    global _library
    if sys.modules.get("torchvision") is not None or _library is not None:
        return
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    import torch

    _load_operators(spec.submodule_search_locations[0])
    missing = [schema for name, schema in _SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)]
    if missing:
        # FRAGMENT, as the operators that do load own the namespace.
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in missing:
            _library.define(schema)


def _load_operators(folder: str) -> None:
    """Load torchvision's compiled operators the way it does itself, which tells whether it will succeed."""
    import torch

    loader = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    extension = importlib.machinery.FileFinder(folder, loader).find_spec("_C")
    if extension is None or extension.origin is None:
        return
    try:
        torch.ops.load_library(extension.origin)
    except OSError:
        # The operators do not fit this torch: the very case to mend.
        return
