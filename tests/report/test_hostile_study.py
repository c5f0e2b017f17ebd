"""A study from the store whose every free text is markup: the page's tags are those of a harmless one."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from mad_ray.cli import main
from mad_ray.core.errors import MadError
from mad_ray.engine import generation
from tests.report.checker import Checker

PLACES = ("title", "first case", "second case", "failure", "package", "version", "device")
HARMLESS = {place: place for place in PLACES}
HOSTILE = dict(
    zip(
        PLACES,
        (
            "</title></style><svg onload=alert(1)>",
            "<script>alert('x')</script>",
            '"><img src=x onerror=alert(1)>',
            "<!-- --><iframe src=javascript:alert(1)>",
            "' onmouseover='alert(1)",
            "]]>&lt;b onclick=alert(1)&gt;\u202e{{7*7}}$\\infty$",
            "</p></td></table><form action=//evil onsubmit=alert(1)>",
        ),
        strict=True,
    )
)


def own_functions(folder: Path, message: str) -> dict[str, str]:
    """A family whose fit fails with that message."""
    module = f"hostile_{folder.name}"
    code = f"def fit(data, seed):\n    raise ValueError({message!r})\n\n\ndef sample(model, n, seed):\n    pass\n"
    (folder / f"{module}.py").write_text(code)
    return {"name": "functions", "fit_function": f"{module}:fit", "sample_function": f"{module}:sample"}


def page_of(folder: Path, said: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Checker:
    """The report of a study that says so wherever a user, a failure or a machine may say something."""
    folder.mkdir()
    monkeypatch.setattr(generation, "versions", lambda: {"python": "3.11", said["package"]: said["version"]})
    monkeypatch.setattr(generation, "device", lambda: said["device"])
    study = {
        "name": "study",
        "title": said["title"],
        "data": {"name": "gaussian", "d": 2},
        "family": "gaussian",
        "loop": {"n_initial": 30, "n_synthetic": 30},
        "metrics": {"n": 30, "names": ["frechet"]},
        "n_generations": 2,
        "cases": {said["first case"]: {}, said["second case"]: {"family": own_functions(folder, said["failure"])}},
    }
    run = {"store": str(folder / "store"), "output": str(folder / "output"), "runtime": "local"}
    (folder / "study.yaml").write_text(yaml.safe_dump({"study": study, "run": run}))
    assert main(["run", str(folder / "study.yaml")]) == 1, "the second case fails"
    return Checker.of(folder / "output" / "report" / "index.html")


def shape(page: Checker) -> Counter[tuple[str, tuple[str, ...]]]:
    """Tags with the names of their attributes: what a browser would act upon."""
    return Counter((tag, tuple(sorted(attributes))) for tag, attributes in page.seen)


def test_markup_stays_text(tmp_path, monkeypatch):
    harmless = page_of(tmp_path / "harmless", HARMLESS, monkeypatch)
    hostile = page_of(tmp_path / "hostile", HOSTILE, monkeypatch)
    assert shape(hostile) == shape(harmless)
    for place, text in HOSTILE.items():
        assert " ".join(text.split()) in hostile.text, place
    targets = [value for _, attributes in hostile.seen for name, value in attributes.items() if name in ("href", "src")]
    assert targets
    assert all(value.startswith("data:") or not set(value) & set("/:<>") for value in targets)


def test_the_name_of_a_study_holds_no_markup(tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"study": {"name": HOSTILE["first case"]}}))
    assert main(["plan", str(tmp_path / "study.yaml")]) == MadError.exit_code
    assert "study.name" in capsys.readouterr().err
