"""The command line: what a user types, what is printed, the exit code; bad input is one clear line."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import jsonschema
import pytest

from mad_ray import __version__
from mad_ray.cli import main
from mad_ray.families.gaussian import Gaussian
from mad_ray.ledger import memory
from tests.command_line import call, refused

COMMANDS = (
    "run",
    "plan",
    "submit",
    "status",
    "report",
    "verify",
    "gc",
    "trace",
    "advise",
    "doctor",
    "schema",
    "drain-on-notice",
)
STUDY = """
study:
  name: tiny
  n_generations: 4
  data: {{name: gaussian, d: 2}}
  family: gaussian
  metrics: {{n: 20, names: [frechet, recall]}}
  loop: {{kind: fully_synthetic, n_initial: 20}}
  cases:
    unbiased: {{seeds: 2}}
    biased: {{loop: {{bias: 0.5}}}}
run: {{runtime: local, store: {folder}/store, output: "{folder}/{{study}}"}}
"""
OBJECTS = 2 + 2 * 3 + 2  # a reference and its features, two ledgers of a manifest, models and metrics, study and index


def write_study(folder: Path, text: str = STUDY) -> str:
    path = folder / "study.yaml"
    path.write_text(text.format(folder=folder))
    return str(path)


@pytest.fixture
def config(tmp_path: Path) -> str:
    return write_study(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that ran to its end."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(["run", write_study(folder)]) == 0
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of its store, to be damaged."""
    shutil.copytree(finished / "store", tmp_path / "store")
    write_study(tmp_path)
    return tmp_path


def objects(folder: Path) -> dict[str, Path]:
    root = folder / "store"
    return {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {key: path.read_bytes() for key, path in objects(folder).items()}


def flip(path: Path, place: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(bytes(data))


# What goes well.


def test_plan_run_status_report_verify_gc(config: str, tmp_path: Path, capsys) -> None:
    code, out, _ = call(capsys, "plan", config)
    assert code == 0
    assert "3 trajectories in 2 ledgers; to do: 8 generations" in out
    assert "0 of 4 generations done" in out
    assert not (tmp_path / "store").exists(), "plan writes nothing"

    code, out, err = call(capsys, "run", config)
    assert (code, err) == (0, "")
    assert "study tiny: 3 trajectories" in out
    assert "unbiased, seeds 0..1" in out
    page = tmp_path / "tiny" / "report" / "index.html"
    assert f"report: {page}" in out
    assert page.stat().st_size > 10_000
    before = snapshot(tmp_path)
    assert len(before) == OBJECTS

    code, out, _ = call(capsys, "run", config)
    assert code == 0
    assert "2 of 2 ledgers are complete already" in out
    assert snapshot(tmp_path) == before, "a second run does nothing new"

    code, out, _ = call(capsys, "plan", config)
    assert "4 of 4 generations done" in out
    assert "to do: 0 generations" in out
    assert "nothing left to do" in out

    by_name = ("--store", str(tmp_path / "store"), "--study", "tiny")
    for target in ((config,), by_name):
        code, out, _ = call(capsys, "status", *target)
        assert code == 0
        assert "8 of 8 generations committed, 0 of the ledgers stopped" in out
        code, out, _ = call(capsys, "verify", *target)
        assert code == 0
        assert re.search(rf"^{OBJECTS} objects, [\d,]+ bytes read; 0 bad$", out, re.MULTILINE)
    code, out, _ = call(capsys, "report", *by_name, "--output", str(tmp_path / "elsewhere"))
    assert code == 0
    assert (tmp_path / "elsewhere" / "report" / "index.html").stat().st_size > 10_000
    assert "unbiased" in out
    code, out, _ = call(capsys, "gc", config, "--grace-s", "0")
    assert code == 0
    assert "deleted 0 objects" in out
    assert snapshot(tmp_path) == before


def test_an_interrupted_study_is_reported_and_resumed(config: str, tmp_path: Path, capsys, monkeypatch) -> None:
    fit, seen = Gaussian.fit, []

    def interrupted(self, data, keys, progress):
        seen.append(keys.path)
        if len(seen) == 6:  # the second case, its second generation
            raise KeyboardInterrupt
        return fit(self, data, keys, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Gaussian, "fit", interrupted)
        code, _, err = call(capsys, "run", config)
    assert code == 130
    assert "the same command goes on" in err
    code, out, _ = call(capsys, "status", config)
    assert code == 0
    assert "4 of 8 generations committed" in out
    assert "not finished" in out
    assert call(capsys, "report", config)[0] == 0, "a report of what there is"
    assert call(capsys, "verify", config)[0] == 0
    code, out, _ = call(capsys, "plan", config)
    assert "to do: 4 generations in 1 trials" in out
    assert re.search(r"about .* \[.*\]; at the pace so far", out)
    assert call(capsys, "run", config)[0] == 0
    assert "8 of 8" in call(capsys, "status", config)[1]


def test_a_failed_trajectory_is_exit_code_1_with_its_reason(config: str, capsys, monkeypatch) -> None:
    fit = Gaussian.fit

    def failing(self, data, keys, progress):
        if len(keys.seeds) == 1 and keys.path[-1] == 3:
            raise ValueError("out of\nluck")
        return fit(self, data, keys, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Gaussian, "fit", failing)
        code, out, _ = call(capsys, "run", config)
    assert code == 1
    assert "FAILED  biased, seeds [0]: generation 1: ValueError: out of luck" in out
    code, out, _ = call(capsys, "status", config)
    assert code == 1
    assert "FAILED at generation 1: ValueError: out of luck" in out
    assert call(capsys, "run", config)[0] == 0, "the same command tries the rest again"
    assert call(capsys, "status", config)[0] == 0


def test_results_do_not_depend_on_the_store_or_the_run(finished: Path, tmp_path: Path, capsys) -> None:
    """Same study, other folder, other number of trials: the same objects but for times and names of attempts."""

    def results(folder: Path) -> dict[str, bytes]:
        found = {key: data for key, data in snapshot(folder).items() if not key.endswith("/index.json")}
        attempts = {re.sub(r"-[0-9a-f]{12}/", "/", key): data for key, data in found.items() if "/ledger/" not in key}
        manifests = {key: json.loads(data)["content"] for key, data in found.items() if "/ledger/" in key}
        return attempts | manifests

    assert call(capsys, "run", write_study(tmp_path), "--set", "run.max_concurrent=1")[0] == 0
    assert results(tmp_path) == results(finished)


def test_gc_deletes_what_no_manifest_names(copy: Path, capsys) -> None:
    folder = next((copy / "store").glob("cohorts/*/attempts"))
    dead = folder / "000001-dead" / "models.safetensors"
    dead.parent.mkdir()
    dead.write_bytes(b"12345")
    before, config = snapshot(copy), str(copy / "study.yaml")
    assert "left 1 that are younger than 86400 s" in call(capsys, "gc", config)[1]
    assert "would delete 1 objects, 5 bytes" in call(capsys, "gc", config, "--dry-run", "--grace-s", "0")[1]
    assert snapshot(copy) == before
    assert "deleted 1 objects, 5 bytes" in call(capsys, "gc", config, "--grace-s", "0")[1]
    assert snapshot(copy).keys() == before.keys() - {str(dead.relative_to(copy / "store"))}


def test_the_schema_is_valid_json_schema(capsys) -> None:
    code, out, _ = call(capsys, "schema")
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(out))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_commands_help_teaches(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"example:\n  mad-ray {command}" in out
    assert len(out.split()) > 30


def test_the_overall_help_names_commands_examples_and_exit_codes(capsys) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    assert all(re.search(rf"^    {command}\s", out, re.MULTILINE) for command in COMMANDS)
    assert "exit codes: 0 done, 1 a trajectory failed" in out


def test_version(capsys) -> None:
    assert call(capsys, "--version") == (0, f"mad_ray {__version__}\n", "")


def test_as_a_module_in_a_process_of_its_own(tmp_path: Path) -> None:
    def mad_ray(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "mad_ray", *argv], capture_output=True, text=True, check=False)

    assert mad_ray("--version").stdout == f"mad_ray {__version__}\n"
    done = mad_ray("plan", write_study(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    done = mad_ray("run", write_study(tmp_path), "--set", "study.loop.bias=2")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "study.cases.unbiased.loop.bias=2.0 is outside [0, 1]" in done.stderr


# What goes wrong. Fields and their messages: tests/config.


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("bogus",), "invalid choice: 'bogus'.*mad-ray --help"),
        (("run",), "required: CONFIG; see `mad-ray run --help`"),
        (("run", "CONFIG", "--sett", "a=b"), "unrecognized arguments: --sett a=b"),
        (("gc", "CONFIG", "--grace-s", "long"), "argument --grace-s: invalid float value: 'long'"),
        (("gc", "CONFIG", "--grace-s=-1"), "--grace-s=-1: expected seconds"),
        (("gc", "CONFIG", "--grace-s", "nan"), "--grace-s=nan: expected seconds"),
        (("status",), "give its CONFIG, or both --store and --study"),
        (("status", "--store", "x"), "give its CONFIG, or both --store and --study"),
        (("run", "nowhere.yaml"), "nowhere.yaml: no such config file"),
        (("status", "CONFIG"), "study tiny is not in .*store; `mad-ray run` puts it there"),
        (("report", "CONFIG"), "study tiny is not in"),
        (("verify", "CONFIG"), "study tiny is not in"),
        (("status", "CONFIG", "--study", "../../x"), "x"),
        (
            ("run", "CONFIG", "--set", "study.loop.bais=1"),
            "study.cases.unbiased.loop.bais: unknown key; did you mean bias",
        ),
        (
            ("run", "CONFIG", "--set", "study.n_generations=four"),
            "study.n_generations='four': input should be a valid int",
        ),
        (("run", "CONFIG", "--set", "study.loop.n_fixed=21"), "loop.n_fixed=21 exceeds n_initial=20.*raise n_initial"),
        (("run", "CONFIG", "--set", "study.loop.bias=-1"), r"loop.bias=-1.* is outside \[0, 1\]"),
        (
            ("run", "CONFIG", "--set", "run.store=ftp://x"),
            "run.store: no store has the scheme 'ftp'; known are a directory",
        ),
        (("run", "CONFIG", "--set", "run.store=''"), "run.store is empty"),
        (("run", "CONFIG", "--set", "nothing"), "--set nothing: expected a.b=value"),
    ],
)
def test_bad_input_is_one_line(argv: tuple[str, ...], words: str, config: str, tmp_path: Path, capsys) -> None:
    message = refused(capsys, *(config if arg == "CONFIG" else arg for arg in argv))
    assert re.search(words, message), message
    assert not (tmp_path / "store").exists(), "nothing was started"


def test_corrupt_yaml_is_told_with_its_line(tmp_path: Path, capsys) -> None:
    for command in ("run", "plan", "status"):
        path = write_study(tmp_path, "study:\n  name: a\n  seeds: [1, 2\n")
        assert re.search(r"study.yaml, line 4: not valid YAML", refused(capsys, command, path))


def test_real_data_that_run_out_are_told_before_anything_starts(tmp_path: Path, capsys) -> None:
    path = write_study(
        tmp_path,
        "study:\n  name: a\n  n_generations: 30\n  metrics: {{n: 100}}\n"
        "  loop: {{kind: fresh_data, n_fresh: 100, n_synthetic: 100}}\nrun: {{store: {folder}/store}}",
    )
    message = refused(capsys, "run", path)
    assert "fresh data exhausted at t=13: 1,300 rows needed, 1,200 exist" in message
    assert not (tmp_path / "store").exists()


def test_another_study_under_the_same_name_is_refused_by_the_field_that_changed(copy: Path, capsys) -> None:
    config, before = str(copy / "study.yaml"), snapshot(copy)
    message = refused(capsys, "run", config, "--set", "study.loop.n_initial=30")
    assert "study.loop.n_initial=30 where the store's study tiny has 20" in message
    message = refused(capsys, "run", config, "--set", "study.cases.biased.loop.bias=0.6")
    assert "study.cases.biased.loop.bias=0.6 where the store's study tiny has 0.5" in message
    message = refused(capsys, "run", config, "--set", "study.n_generations=6")
    assert "study.n_generations=6 where the store's study tiny has 4" in message
    assert snapshot(copy) == before
    assert call(capsys, "run", config, "--set", "study.title=new words", "--set", "run.max_concurrent=3")[0] == 0
    assert call(capsys, "run", config, "--set", "study.name=longer", "--set", "study.n_generations=5")[0] == 0
    assert "10 of 10" in call(capsys, "status", config, "--study", "longer")[1]


def test_a_flipped_bit_in_any_object_is_found_and_named(copy: Path, capsys) -> None:
    config = str(copy / "study.yaml")
    found = objects(copy)
    assert len(found) == OBJECTS
    for key, path in found.items():
        whole = path.read_bytes()
        for place in (0, 0.5, 1):
            flip(path, place)
            code, out, _ = call(capsys, "verify", config)
            assert code == 2, (key, place)
            assert f"BAD  {key}: " in out, (key, place)
            assert "0 bad" not in out
            path.write_bytes(whole)
    assert call(capsys, "verify", config)[0] == 0


def test_a_lost_object_is_found_and_named(copy: Path, capsys) -> None:
    config = str(copy / "study.yaml")
    for key, path in objects(copy).items():
        if "/attempts/" in key or "features" in key:
            path.rename(copy / "aside")
            code, out, _ = call(capsys, "verify", config)
            assert code == 2
            assert f"BAD  {key}: " in out
            (copy / "aside").rename(path)


@pytest.mark.parametrize("command", ["run", "status", "report", "plan"])
def test_a_corrupt_manifest_stops_every_command_with_one_line(copy: Path, capsys, command: str) -> None:
    key, path = next((key, path) for key, path in objects(copy).items() if "/ledger/" in key)
    flip(path)
    if command in ("status", "plan"):
        # Of finished ledgers these two ask the index only.
        assert call(capsys, command, str(copy / "study.yaml"))[0] == 0
        (copy / "store" / "studies" / "tiny" / "index.json").unlink()
    assert key in refused(capsys, command, str(copy / "study.yaml"))


@pytest.mark.parametrize("command", ["run", "status", "report", "gc"])
def test_a_corrupt_study_document_stops_every_command_with_one_line(copy: Path, capsys, command: str) -> None:
    flip(copy / "store" / "studies" / "tiny" / "study.json")
    assert "studies/tiny/study.json" in refused(capsys, command, str(copy / "study.yaml"))


@pytest.mark.parametrize("words", ["features-", "reference.json"])
def test_a_corrupt_reference_stops_a_run(copy: Path, capsys, words: str) -> None:
    key, path = next((key, path) for key, path in objects(copy).items() if words in key)
    flip(path)
    assert key in refused(capsys, "run", str(copy / "study.yaml"))


def test_a_report_that_cannot_be_written_is_one_line(finished: Path, capsys) -> None:
    message = refused(capsys, "report", str(finished / "study.yaml"), "--output", "/dev/null/x")
    assert "the report cannot be written there" in message
    assert "--output" in message


def test_no_space_left_is_one_line(config: str, capsys, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = refused(capsys, "run", config)
    assert "no space is left" in message


def test_a_store_without_conditional_writes_is_refused(config: str, capsys, monkeypatch) -> None:
    put = memory.MemoryStore.put
    monkeypatch.setattr(memory.MemoryStore, "put", lambda self, key, data, *, if_absent=False: put(self, key, data))
    message = refused(capsys, "run", config, "--set", "run.store=memory://careless")
    assert "ignores conditional writes (If-None-Match)" in message
    assert "use a store that honours them" in message


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code: int, body: bytes = b"", of: bytes | None = None) -> None:
        """of: the object that the answer is about."""
        self.send_response(code)
        self.send_header("Content-Type", "application/xml")
        if of is not None:
            self.send_header("ETag", f'"{hashlib.md5(of).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def received(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def log_message(self, *_: object) -> None:
        pass


class Forgetful(Quiet):
    """S3 as some servers speak it: every condition is ignored."""

    kept: dict[str, bytes]

    def do_PUT(self) -> None:
        self.kept[self.path] = data = self.received()
        self.answer(200, of=data)

    def do_GET(self) -> None:
        missing = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
        data = self.kept.get(self.path)
        self.answer(404, missing) if data is None else self.answer(200, data, of=data)

    def do_DELETE(self) -> None:
        self.kept.pop(self.path, None)
        self.answer(204)


class Stern(Quiet):
    """S3 to somebody whose secret key is wrong."""

    def refuse(self) -> None:
        self.received()
        self.answer(403, b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>")

    do_GET = do_PUT = do_DELETE = do_HEAD = refuse


@pytest.fixture
def credentials(monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "HUSH")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def test_a_server_without_conditional_writes_is_refused(config: str, capsys, credentials) -> None:
    with http_server(type("Server", (Forgetful,), {"kept": {}})) as url:
        message = refused(capsys, "run", config, "--set", f"run.store=s3://b/p?endpoint_url={url}")
        assert "ignores conditional writes (If-None-Match)" in message


def test_wrong_credentials_are_one_line_without_the_secret(config: str, capsys, credentials) -> None:
    with http_server(Stern) as url:
        for command in ("run", "plan", "status"):
            message = refused(capsys, command, config, "--set", f"run.store=s3://b/p?endpoint_url={url}")
            assert "credentials refused" in message
            assert "HUSH" not in message


def test_a_missing_bucket_is_one_line(config: str, capsys, s3) -> None:
    message = refused(capsys, "run", config, "--set", f"run.store=s3://nobodys/p?endpoint_url={s3.endpoint}")
    assert "bucket 'nobodys' does not exist" in message
    assert "create it, or correct run.store" in message


def test_the_same_study_on_s3_gives_the_same_results(config: str, finished: Path, capsys, s3) -> None:
    assert call(capsys, "run", config, "--set", f"run.store={s3.url}")[0] == 0
    assert call(capsys, "verify", config, "--store", s3.url)[0] == 0
    client = boto3.session.Session().client("s3", endpoint_url=s3.endpoint, region_name="us-east-1")
    listed = client.list_objects_v2(Bucket=s3.bucket)["Contents"]
    digests = {}
    for entry in listed:
        if "/ledger/" in entry["Key"]:
            data = client.get_object(Bucket=s3.bucket, Key=entry["Key"])["Body"].read()
            digests[entry["Key"].removeprefix("a/prefix/")] = json.loads(data)["content"]
    assert digests == {
        key: json.loads(data)["content"] for key, data in snapshot(finished).items() if "/ledger/" in key
    }


def test_absent_inception_weights_are_told_before_anything_starts(tmp_path: Path, capsys) -> None:
    path = write_study(
        tmp_path,
        "study: {{name: a, loop: {{kind: fully_synthetic, n_initial: 20}}, metrics: {{features: inception, n: 50}}}}\n"
        "run: {{store: {folder}/store}}",
    )
    message = refused(capsys, "run", path)
    assert "metrics.weights" in message
    assert not (tmp_path / "store").exists()
