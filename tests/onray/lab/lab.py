"""mad-ray, with the test family among its families."""

import sys

import lab_families  # noqa: F401

from mad_ray.cli import main

sys.exit(main())
