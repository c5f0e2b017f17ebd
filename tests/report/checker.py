"""What every page is held to, and what of it a test may read."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

VOID = {"meta", "img", "br"}
LIBRARY = "bokeh"


class Checker(HTMLParser):
    """Collects tags, attributes, text and scripts, and asserts that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.html = text
        self.feed(text)
        assert self.open == []

    @classmethod
    def of(cls, page: Path) -> "Checker":
        return cls(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def items(self) -> list[str]:
        """The interactive figures' data."""
        attributes = [attributes for tag, attributes in self.seen if tag == "script"]
        return [
            script for script, at in zip(self.scripts, attributes, strict=True) if at.get("type") == "application/json"
        ]

    @property
    def n_live(self) -> int:
        return sum(attributes.get("class") == "sheet live" for _, attributes in self.seen)

    def assert_alone(self, folder: Path) -> None:
        """Nothing is fetched, nothing of a user's is code, and every link leads to a file beside the page."""
        for tag, attributes in self.seen:
            assert tag not in {"link", "iframe", "object", "base", "form"}
            assert not {"onload", "onclick", "onerror", "srcset"} & set(attributes)
            source = attributes.get("src", "data:image/png;base64,")
            assert source.startswith(("data:image/png;base64,", "data:image/gif;base64,"))
            assert tag != "script" or not set(attributes) - {"type", "id"}
            if "href" in attributes:
                assert (folder / attributes["href"]).is_file()
                assert "/" not in attributes["href"]
        policy = next(at["content"] for tag, at in self.seen if at.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none';")
        assert not re.search(r"https?:|\*|unsafe-eval", policy)
        own = self.html
        for script in self.scripts:
            own = own.replace(script, "") if len(script) > 500_000 else own
        assert not re.search(r"https?://|url\(|@import", own)
        assert len(self.items) == self.n_live
        # The data of each figure, the library once, the loader.
        assert len(self.scripts) == (self.n_live + 2 if self.n_live else 0)
        assert sum(len(script) > 500_000 for script in self.scripts) == (1 if self.n_live else 0)

    def columns(self, item: str, *names: str) -> list[tuple]:
        """The rows of all tables in a figure's data that have these columns."""
        rows = []
        for table in _tables(json.loads(item)):
            if set(names) <= set(table):
                rows += list(zip(*(_plain(table[name]) for name in names), strict=True))
        return rows


def _tables(value) -> list[dict]:
    if isinstance(value, list):
        return [table for inner in value for table in _tables(inner)]
    if not isinstance(value, dict):
        return []
    own = [dict(value["entries"])] if value.get("type") == "map" and value.get("entries") else []
    return own + [table for inner in value.values() for table in _tables(inner)]


def _plain(column) -> list:
    """A Bokeh column as a list."""
    if isinstance(column, list):
        return column
    data = gzip.decompress(base64.b64decode(column["array"]["data"]))
    return np.frombuffer(data, dtype=np.dtype(column["dtype"]).newbyteorder("<")).tolist()
