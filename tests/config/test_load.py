"""From YAML to a validated mapping: strict reading, extends, overrides; bad input is one clear line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_ray.config import load_config, parse_config
from mad_ray.config.load import merge, parse_yaml
from mad_ray.core.errors import InvalidInput


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{next(iter(files))}.yaml"


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_config(load_config(path, overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_child_is_its_base_plus_what_it_changes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        child="extends: base.yaml\nstudy: {name: child, loop: {bias: 0.5}}\n",
        base="extends: root.yaml\nstudy: {seeds: 3}\nrun: {threads: 2}\n",
        root="study: {name: root, seeds: 9, loop: {kind: fully_synthetic, n_initial: 10}}\n",
    )
    assert load_config(path) == {
        "study": {"name": "child", "seeds": 3, "loop": {"kind": "fully_synthetic", "n_initial": 10, "bias": 0.5}},
        "run": {"threads": 2},
    }


def test_bases_are_found_beside_the_file_and_not_beside_the_caller(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path, base="study: {name: a}")
    (tmp_path / "sub" / "child.yaml").write_text("extends: ../base.yaml")
    monkeypatch.chdir("/")
    assert load_config(tmp_path / "sub" / "child.yaml") == {"study": {"name": "a"}}


def test_overrides_are_typed_nested_and_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, a="study: {name: a, loop: {n_initial: 3}}")
    config = load_config(path, ["study.loop.bias=0.5", "study.seeds=[1, 2]", "run.store=s3://b/p?x=y", "study.seeds=4"])
    assert config["study"] == {"name": "a", "loop": {"n_initial": 3, "bias": 0.5}, "seeds": 4}
    assert config["run"] == {"store": "s3://b/p?x=y"}, "only the first = parts path and value"


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        ({"loop": {"kind": "a", "n": 1}}, {"loop": {"n": 2}}, {"loop": {"kind": "a", "n": 2}}),
        ({"loop": {"kind": "a", "n": 1}}, {"loop": {"kind": "b"}}, {"loop": {"kind": "b"}}),
        ({"loop": {"kind": "a", "n": 1}}, {"loop": {"kind": "a", "m": 1}}, {"loop": {"kind": "a", "n": 1, "m": 1}}),
        ({"family": {"name": "a", "n": 1}}, {"family": "a"}, {"family": {"name": "a", "n": 1}}),
        ({"family": {"name": "a", "n": 1}}, {"family": "b"}, {"family": "b"}),
        ({"family": "a"}, {"family": {"n": 1}}, {"family": {"name": "a", "n": 1}}),
        ({"data": "a"}, {"data": {"name": "b", "n": 1}}, {"data": {"name": "b", "n": 1}}),
        ({"seeds": [1, 2]}, {"seeds": [3]}, {"seeds": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    ],
)
def test_mappings_merge_the_rest_is_replaced_and_a_new_kind_starts_afresh(
    base: dict, over: dict, expected: dict
) -> None:
    assert merge(base, over) == expected


PLAIN = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(PLAIN, PLAIN)
def test_merging_keeps_what_was_laid_on_top(base: object, over: object) -> None:
    merged = merge(base, over)
    assert merge(merged, over) == merged
    assert merge(over, over) == over
    if not (isinstance(base, dict) and isinstance(over, dict)):
        assert merged == over


def test_yaml_as_people_write_it() -> None:
    assert parse_yaml("{a: 1e-3, b: 2E5, c: -1.5e+2, d: 1e3x, e: .5e1}", "x") == {
        "a": 1e-3,
        "b": 2e5,
        "c": -150.0,
        "d": "1e3x",
        "e": 5.0,
    }


def test_anchors_and_merge_keys_work() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {deep: {<<: *b, y: 5}}\nd: {<<: *b}"
    found = parse_yaml(text, "x")
    assert found["b"] == {"x": 3, "y": 2}
    assert found["c"]["deep"] == {"x": 3, "y": 5}
    assert found["d"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("study: {name: a\nrun: {", "line 2.*not valid YAML"),
        ("study:\n  name: a\n name: b", "line 3.*not valid YAML"),
        ("study:\n  name: a\n  seeds: 2\n  name: b", "line 4.*the key 'name' stands twice"),
        ("a: [1, 2", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("a: !!python/object:os.system x", "line 1.*not valid YAML"),
        ("? [a]\n: b", "not valid YAML.*unhashable"),
        ("? {a: 1}\n: b", "not valid YAML.*unhashable"),
        ("a: 2020-13-45", "month must be in 1..12"),
        ("a: " + "[" * 5000, "cannot be read|can be read|not valid YAML"),
        ("a: " + "9" * 5000, "can be read"),
        ("a: *nowhere", "line 1.*undefined alias"),
        ("- a list", "a config is a mapping"),
        ("just text", "a config is a mapping"),
        ("", "a config is a mapping"),
        ("study: &a {name: *a}", "holds itself"),
        ("study: {2020-01-01: 3}", "keys must be str"),
        ("extends: 5", "extends=5; give one path"),
    ],
)
def test_what_is_no_config_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    import re

    message = refused(write(tmp_path, bad=text))
    assert re.search(words, message), message


def test_files_that_are_not_there_and_circles(tmp_path: Path) -> None:
    path = write(tmp_path, a="extends: b.yaml", b="extends: a.yaml", c="extends: nowhere.yaml", d="extends: d.yaml")
    assert "extends itself" in refused(path)
    assert "extends itself" in refused(tmp_path / "d.yaml")
    assert "nowhere.yaml: no such config file" in refused(tmp_path / "c.yaml")
    assert "missing.yaml: no such config file" in refused(tmp_path / "missing.yaml")
    assert "cannot be read" in refused(tmp_path)
    (tmp_path / "e.yaml").write_bytes(b"\xff\xfe\x00")
    assert "e.yaml: cannot be read" in refused(tmp_path / "e.yaml")


@pytest.mark.parametrize("override", ["", "=", "=3", "study.seeds", "study.seeds="])
def test_an_override_that_says_nothing_is_refused(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, a="study: {name: a}")
    message = refused(path, override)
    assert "expected a.b=value" in message or "study.seeds" in message


def test_an_override_of_bad_yaml_names_the_override(tmp_path: Path) -> None:
    assert "--set study.seeds" in refused(write(tmp_path, a="study: {name: a}"), "study.seeds=[1")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("study.nam=3", "study.nam: unknown key; did you mean name?"),
        ("study.xyzzy=3", "study.xyzzy: unknown key; remove it (known here: baseline, cases, data"),
        ("stdy.name=3", "stdy: unknown key; did you mean study?"),
        ("run.thread=3", "run.thread: unknown key; did you mean threads?"),
        ("run.threads=two", "run.threads='two': input should be a valid integer (found text)"),
        ("run.threads=0", "run.threads=0: input should be greater than or equal to 1"),
        ("run.threads=1.5", "run.threads=1.5"),
        ("run.threads=true", "run.threads=True"),
        ("run.runtime=rya", "run.runtime='rya': input should be 'ray' or 'local' (found text); did you mean ray?"),
        ("study.seeds=x", "study.seeds='x'"),
        ("study.seeds=[a, 1]", "study.seeds.0='a'"),
        ("study.seeds=1.5", "study.seeds=1.5"),
        ("study.data=5", "study.data=5"),
        ("study.n_generations=0", "study.n_generations=0"),
        ("study.name=../x", "study.name='../x'"),
        ("study.name=", "study.name=None"),
        ("study.random={n: 2}", "study.random.space is missing"),
        ("study.random={m: 2}", "study.random.m: unknown key"),
        ("study.cases={a: 3}", "study.cases.a=3"),
        ("study.grid={a: 3}", "study.grid.a=3"),
        ("study=3", "study=3"),
    ],
)
def test_bad_fields_are_named_with_what_was_found_and_expected(tmp_path: Path, override: str, expected: str) -> None:
    assert refused(write(tmp_path, a="study: {name: a}"), override).startswith(expected)


def test_a_study_without_a_name_says_so(tmp_path: Path) -> None:
    assert refused(write(tmp_path, a="study: {seeds: 2}")) == "study.name is missing; it has no default"
    assert refused(write(tmp_path, b="run: {}")) == "study is missing; it has no default"


def test_a_misspelt_field_is_told_before_the_one_it_leaves_missing(tmp_path: Path) -> None:
    assert refused(write(tmp_path, a="study: {nmae: a}")).startswith("study.nmae: unknown key; did you mean name?")
