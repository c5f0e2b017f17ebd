"""python -m mad_ray"""

import sys

from mad_ray.cli import main

sys.exit(main())
