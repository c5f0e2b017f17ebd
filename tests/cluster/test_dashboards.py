"""The Grafana dashboard asks for metrics that exist, in PromQL that parses; Prometheus takes its configuration."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from mad_ray.onray.metrics import NAMES, TAGS

FOLDER = Path(__file__).parents[2] / "cluster"
DASHBOARD = json.loads((FOLDER / "dashboards" / "mad-ray.json").read_text())
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
GRAFANAS_OWN = {"__range": "1h"}
PANELS = {"stat", "table", "timeseries", "xychart"}
"""Panels that every Grafana since version 10.2 brings."""


def queries() -> Iterator[str]:
    """Every expression, as Prometheus gets it."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield filled(target["expr"])


def filled(expression: str) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        assert name in VARIABLES or name in GRAFANAS_OWN, f"${name} is no variable of the dashboard"
        return GRAFANAS_OWN.get(name, "anything")

    return re.sub(r"\$(\w+)", value, expression)


def selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    """The vector selectors of a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (child := getattr(node, name, None)) is not None:
            yield from selectors(child)
    for child in getattr(getattr(node, "args", None), "args", getattr(node, "args", None)) or ():
        yield from selectors(child)


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_parses_and_asks_for_what_is_exported(query):
    found = list(selectors(promql_parser.parse(query)))
    assert found, "a query asks for something"
    for selector in found:
        assert selector.name.removeprefix("ray_") in NAMES
        assert {matcher.name for matcher in selector.matchers.matchers} <= set(TAGS)


def test_what_does_not_parse_is_found():
    with pytest.raises(ValueError, match=r".+"):
        promql_parser.parse("sum(rate(ray_mad_ray_generations_total[15m])")


def test_every_metric_is_shown_somewhere():
    shown = {selector.name for query in queries() for selector in selectors(promql_parser.parse(query))}
    assert shown == {f"ray_{name}" for name in NAMES}


def test_the_dashboard_is_one():
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["uid"] == "mad-ray"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in PANELS
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_panels_do_not_lie_on_each_other():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_variables_are_filled_from_what_is_exported():
    for variable in VARIABLES.values():
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", filled(variable["query"]["query"])).groups()
            assert label in TAGS
            assert [of.name for of in selectors(promql_parser.parse(selector))] == ["ray_mad_ray_generation"]


def test_the_map_is_laid_out_by_its_axes():
    (a_map, _) = [panel for panel in DASHBOARD["panels"] if panel["title"].startswith("Phase diagram")]
    (matrix,) = a_map["transformations"]
    assert matrix["id"] == "groupingToMatrix"
    assert {matrix["options"]["columnField"], matrix["options"]["rowField"]} == {"x", "y"} <= set(TAGS)


def test_prometheus_asks_the_nodes_that_ray_names():
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == ["/tmp/ray/prom_metrics_service_discovery.json"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here: it comes with Debian's prometheus")
def test_prometheus_takes_its_configuration(tmp_path):
    config = ["promtool", "check", "config", str(FOLDER / "prometheus.yml")]
    done = subprocess.run(config, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = [{"record": f"query:n{i}", "expr": query} for i, query in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
