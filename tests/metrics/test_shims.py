"""mend_torchvision, each time in a fresh process, as what it mends happens once per process."""

import subprocess
import sys

import pytest


def run(code):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


IMPORTS = "import torchvision, cleanfid.fid, torchvision.transforms as t; print('imported', t.Resize(4).size)"


def test_torchvision_imports_after_it_and_twice_is_once():
    code = f"from mad_ray.shims import mend_torchvision as mend; mend(); mend(); {IMPORTS}; mend()"
    assert run(code) == ["imported", "4"]


def test_it_mends_an_import_that_failed_before():
    code = f"""
try:
    import torchvision
except RuntimeError:
    pass
from mad_ray.shims import mend_torchvision
mend_torchvision()
{IMPORTS}"""
    assert run(code) == ["imported", "4"]


def test_operators_that_exist_are_left_alone():
    code = """
import torch, mad_ray.shims as shims
library = torch.library.Library("torchvision", "DEF")
for schema in shims._SCHEMAS.values():
    library.define(schema)
shims.mend_torchvision()
print(shims._library)"""
    assert run(code) == ["None"]


@pytest.mark.parametrize("state", ["absent", "imported"])
def test_nothing_happens_where_there_is_nothing_to_mend(state):
    code = f"""
import sys, types, importlib.util
if {state!r} == "imported":
    sys.modules["torchvision"] = types.ModuleType("torchvision")
else:
    importlib.util.find_spec = lambda name: None
from mad_ray.shims import mend_torchvision
mend_torchvision()
print("torch" in sys.modules)"""
    assert run(code) == ["False"]
