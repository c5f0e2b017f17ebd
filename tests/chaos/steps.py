"""Which step of a run an operation on the store is: what the table calls the moment of a fault."""

import re

# verb, pattern of the key, name of the step; the first that matches.
_STEPS = (
    ("", r"^\.probe/", "probe the store"),
    ("", r"^studies/[^/]+/study\.json$", "register the study"),
    ("", r"^studies/[^/]+/failures/", "forget an earlier failure"),
    ("", r"^studies/[^/]+/index\.json$", "keep the index"),
    ("", r"^(?:references|extractors)/", "reference"),
    ("put", r"/ledger/", "commit"),
    ("get", r"/ledger/", "read the ledger"),
    ("get", r"/progress/", "look for a checkpoint"),
    ("put", r"/progress/", "checkpoint"),
    ("delete", r"/progress/", "clear the checkpoint"),
    ("put", r"/models\.safetensors$", "write the model"),
    ("get", r"/models\.safetensors$", "read a model"),
    ("put", r"/samples/\d+-(\d+)\.parquet$", "write shard {}"),
    ("get", r"/samples/\d+-(\d+)\.parquet$", "read a shard of D^t"),
    ("put", r"/metrics\.json$", "write the metrics"),
    ("get", r"/metrics\.json$", "read the metrics"),
    ("step", "", "a step of the fit"),
)


def step_of(verb: str, key: str) -> str:
    """The step's name. KeyError for an operation that nobody has named: then the run has a step we do not know."""
    for wanted, pattern, name in _STEPS:
        found = re.search(pattern, key) if wanted in ("", verb) else None
        if found:
            return name.format(*(str(int(group)) for group in found.groups()))
    raise KeyError(f"{verb} {key}")
