"""What a GPU does faster at no harm to the result: tf32, bf16, channels last, deterministic kernels. Imports torch."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Precision = Literal["float32", "tf32", "bf16"]


@contextmanager
def arithmetic(precision: Precision) -> Iterator[None]:
    """float32 products in the block: on CUDA rounded to 10 bits of mantissa (tf32) unless precision is float32.

    Deterministic kernels, chosen by rule and not by timing them. All settings are put back.
    """
    if not torch.cuda.is_available():
        # "high" would let some CPUs round too.
        yield
        return
    is_fast = precision != "float32"
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if is_fast else "highest")
    try:
        # The other kernels of attention add gradients in an order that varies.
        with (
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=is_fast),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def autocast(device: torch.device, precision: Precision) -> Any:
    """bf16 where products are, float32 where sums are, on CUDA; nothing elsewhere."""
    if precision == "bf16" and device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def settled(module: nn.Module, device: torch.device) -> nn.Module:
    """The module on the device; on CUDA its convolutions' weights lie channels last, as tensor cores want them."""
    module = module.to(device)
    return module.to(memory_format=torch.channels_last) if device.type == "cuda" else module  # type: ignore[call-overload]


def laid_out(x: Tensor) -> Tensor:
    """Images on CUDA channels last, everything else as it is."""
    return x.contiguous(memory_format=torch.channels_last) if x.is_cuda and x.dim() == 4 else x
