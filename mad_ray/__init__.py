"""mad_ray: a laboratory for self-consuming training."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mad-ray")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
