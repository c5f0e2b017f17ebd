"""Nothing in what we ship for clusters is a secret, and nothing there opens a port to the world."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [path for path in sorted((ROOT / "cluster").rglob("*")) if path.is_file()]
FILES += [*sorted((ROOT / "configs" / "cluster").glob("*.yaml")), ROOT / "docs" / "CLUSTER.md"]

SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}"  # an AWS access key
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|(?<![0-9A-Za-z/+])[0-9a-f]{64}(?![0-9A-Za-z])"  # a Ray token
    r"|(?i:secret_access_key|session_token|password|auth_token)\"?\s*[:=]\s*[\"']?[^\s\"'$<{]{8,}"
    r"|://[^/\s]+:[^/\s]+@"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_secret(path):
    # Where the token lies is no secret.
    text = path.read_text().replace("auth_token: ~/.ray/auth_token", "")
    assert not SECRET.search(text)


@pytest.mark.parametrize(
    "line",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCY",
        '"auth_token": "0123456789abcdef"',
        "RAY_AUTH_TOKEN=" + "0f" * 32,
        "http://me:secret@server",
    ],
)
def test_it_would_be_found(line):
    assert SECRET.search(line)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_listens_for_everybody(path):
    found = re.findall(r"0\.0\.0\.0(?!/0)|(?<![:\w])::(?![:\w])|hostPort|LoadBalancer|NodePort", path.read_text())
    assert not found
