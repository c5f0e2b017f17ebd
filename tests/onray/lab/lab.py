"""mad-ray, with the test families among its families."""

import sys

from lab_families import Deadly, Lab

from mad_ray.cli import main
from mad_ray.families import FAMILIES

# Here and not beside the families: a test that imports one would leave it among those of its whole process.
FAMILIES |= {"lab": Lab, "deadly": Deadly}

sys.exit(main())
