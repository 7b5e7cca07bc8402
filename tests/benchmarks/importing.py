"""Time and peak memory of importing an attribution graph of 6,000 nodes and 343,000 links, as circuit-tracer writes it.

`python -m tests.benchmarks.importing` prints one JSON object. Run it as it stands: the peak is that of its process.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from concept_graphs.exchange.registry import read_graph
from tests.benchmarks.pruning import LAYERS, OUTPUTS, TOKENS, layered, peak

TYPES = {"feature": "cross layer transcoder", "error": "mlp reconstruction error", "token": "embedding"}


def attribution_json(nodes: int, links: int) -> dict[str, Any]:
    """The content of such a file: nodes of all roles over the layers, links from earlier layers to later ones."""
    graph = layered(nodes, links)
    random = np.random.default_rng(1)
    layer = np.sort(random.integers(0, LAYERS, nodes - TOKENS - OUTPUTS))
    layers = [*["E"] * TOKENS, *map(str, layer), *[str(LAYERS)] * OUTPUTS]
    ids = [f"{where}_{at}_{at % TOKENS}" for at, where in enumerate(layers)]
    coo = graph.effects.tocoo()
    return {
        "metadata": {"slug": "made", "scan": "made-model", "prompt_tokens": ["a"] * TOKENS, "prompt": "a" * TOKENS},
        "qParams": {"supernodes": []},
        "nodes": [
            {
                "node_id": ids[at],
                "feature": at,
                "layer": layers[at],
                "ctx_idx": at % TOKENS,
                "feature_type": TYPES.get(str(role), "logit"),
                "clerp": "",
                "activation": 1.5,
                "influence": 0.5,
                "token_prob": float(graph.outputs[at]),
                "jsNodeId": f"{ids[at]}-0",
            }
            for at, role in enumerate(graph.roles)
        ],
        "links": [
            {"source": ids[source], "target": ids[target], "weight": float(weight)}
            for source, target, weight in zip(coo.col.tolist(), coo.row.tolist(), coo.data.tolist(), strict=True)
        ],
    }


def main() -> None:
    """Write the file, read it, save the graph, print what each took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.json"
        path.write_text(json.dumps(attribution_json(6000, 343_000)))
        before, start = peak(), time.perf_counter()
        graph = read_graph(path, "made").graph
        read = time.perf_counter()
        graph.save(Path(folder) / "graph")
        said = {
            "nodes": len(graph.nodes),
            "links": len(graph.edges),
            "file_bytes": path.stat().st_size,
            "read_seconds": round(read - start, 2),
            "save_seconds": round(time.perf_counter() - read, 2),
            "peak_bytes": peak(),
            "peak_bytes_before": before,
        }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
