"""One fixed number of threads per process: float sums depend on it, and several processes share the machine."""

import os


def fix_threads(n_threads: int) -> None:
    """Limit BLAS, OpenMP and torch of this process to n_threads, and those of processes that it starts."""
    import threadpoolctl

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(n_threads)
    import torch

    torch.set_num_threads(n_threads)
    # Last, so that it also finds the libraries that torch has just loaded.
    threadpoolctl.threadpool_limits(n_threads)
