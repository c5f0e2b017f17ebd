"""A study of flows as a user runs it: likelihoods beside the metrics of samples, and pictures of what was published."""

from pathlib import Path

import numpy as np

from mad_ray.analysis.table import read_result
from mad_ray.cli import main
from mad_ray.ledger.open import open_store
from mad_ray.ledger.shards import decode_shard

STUDY = """
study:
  name: tiny
  n_generations: 3
  seeds: [4, 7]
  data: rosenbrock
  family: {{name: flow, n_couplings: 2, hidden: 8, epochs: 0, n_steps: 5, chunk: 64}}
  metrics: {{n: 100, names: [frechet, recall, nll], snapshots: [1, 3], embedding: 10, embedding_seeds: 2}}
  loop: {{kind: fully_synthetic, n_initial: 300, bias: 0.75}}
run: {{runtime: local, store: {folder}/store, output: "{folder}"}}
"""


def test_a_flow_is_measured_and_its_samples_are_drawn_in_the_plane(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(folder=tmp_path))
    assert main(["run", str(path)]) == 0
    store = open_store(str(tmp_path / "store"))
    result = read_result(store, "tiny")
    nll = result.table[result.table.metric == "nll"]
    assert len(nll) == 3 * 2
    assert (nll.bias == 1).all()
    assert np.isfinite(nll.value).all()
    (case,) = result.cases
    assert case.real_points is not None
    assert case.snapshots.keys() == {4, 7}
    published = {
        decode_shard((tmp_path / "store" / key).read_bytes())[0].x[0].tobytes()
        for key in (p.relative_to(tmp_path / "store") for p in (tmp_path / "store").rglob("*-00000.parquet"))
    }
    for found in case.snapshots.values():
        assert found.keys() == {1, 3}
        assert all(x.shape == (256, 2) and x.tobytes() in published for x in found.values())
    assert [found.seed for found in case.embeddings] == [4, 7]
    assert "Samples in the plane" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
