"""Time and peak memory of pruning an attribution graph of 20,000 nodes and 1,000,000 edges.

`python -m tests.benchmarks.pruning` prints one JSON object. Run it as it stands: the peak is that of its process.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from concept_graphs.prune import Attribution, prune

LAYERS, TOKENS, OUTPUTS, ERRORS = 26, 64, 10, 0.08


def layered(nodes: int, edges: int, seed: int = 0) -> Attribution:
    """A graph of the shape that attribution graphs have: tokens, layers of features with a share of errors, outputs;
    every edge from any earlier layer to a later one, effects of heavy tails, exactly `edges` pairs."""
    random = np.random.default_rng(seed)
    layer = np.sort(random.integers(1, LAYERS + 1, nodes - TOKENS - OUTPUTS))
    layer = np.concatenate([np.zeros(TOKENS), layer, np.full(OUTPUTS, LAYERS + 1)]).astype(np.int64)
    roles = np.full(nodes, "feature", dtype="<U7")
    roles[random.random(nodes) < ERRORS] = "error"
    roles[:TOKENS], roles[-OUTPUTS:] = "token", "output"
    starts = np.searchsorted(layer, np.arange(LAYERS + 2))
    takes = np.flatnonzero((roles == "feature") | (roles == "output"))
    pairs = np.zeros(0, dtype=np.int64)
    while len(pairs) < edges:
        target = random.choice(takes, 2 * edges)
        source = (random.random(2 * edges) * starts[layer[target]]).astype(np.int64)
        pairs = np.union1d(pairs, target * nodes + source)
    pairs = random.choice(pairs, edges, replace=False)
    outputs = np.zeros(nodes)
    outputs[-OUTPUTS:] = 0.95 * np.sort(random.dirichlet(np.ones(OUTPUTS)))
    effects = random.standard_t(2, edges)
    return Attribution.of(pairs % nodes, pairs // nodes, effects, roles, outputs)


def peak() -> int:
    """Bytes this process held at most.

    Linux counts that anew for each program; the portable figure begins with what the process held that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        most = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(most.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Make the graph, prune it, print what it took."""
    graph = layered(20_000, 1_000_000)
    before, wall, cpu = peak(), time.perf_counter(), time.process_time()
    kept = prune(graph)
    print(
        json.dumps(
            {
                "nodes": len(graph.outputs),
                "edges": int(graph.effects.nnz),
                "kept_nodes": int(kept.nodes.sum()),
                "kept_edges": int(kept.edges.sum()),
                "seconds": round(time.perf_counter() - wall, 3),
                "cpu_seconds": round(time.process_time() - cpu, 3),
                "peak_bytes": peak(),
                "peak_bytes_before": before,
            }
        )
    )


if __name__ == "__main__":
    main()
