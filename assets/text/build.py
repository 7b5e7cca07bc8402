"""Build the bundled text probe and graph from scratch: capture, train three seeds, measure them on held-out text,
extract the graph.

Run as `make assets-text`. The activation store (about 11 GB) and the runs stay in a scratch folder; what
ships is copied to assets/probes and assets/graphs. An interrupted build goes on where it was.

`ARGS="--graph-alone --tokens 800000"` keeps the bundled probes and makes the graph again, from 3 GB of activations: the
shipped graph was made so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph

PROMPT = "The president of the United States stood up and said that"
ROOT = Path(__file__).resolve().parents[2]
LICENCE = "Apache-2.0 (weights learnt here from SmolLM2-135M-Instruct, Apache-2.0; texts: see assets/corpora)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "assets-text", help="Folder for the store.")
    parser.add_argument("--seeds", type=int, default=3, help="How many probes to train.")
    parser.add_argument("--tokens", type=int, default=2_500_000, help="Most tokens to capture.")
    parser.add_argument("--graph-alone", action="store_true", help="Keep the bundled probes; make the graph again.")
    options = parser.parse_args()
    home = options.scratch.resolve()
    os.environ["FULCRUM_HOME"] = str(home)
    os.environ["FULCRUM_KERNELS"] = "torch"  # what is shipped was trained so; compiled sums differ in last places
    sys.path[:0] = [str(ROOT), str(ROOT / "assets")]
    from jobs import job, ship_beside

    bundled = [_bundled(seed) for seed in range(options.seeds)]
    probes = bundled if options.graph_alone else [f"text-{seed}" for seed in range(options.seeds)]
    job(home / "stores" / "text", "capture", "--name", "text", "--max-tokens", str(options.tokens))
    if not options.graph_alone:
        for seed, name in enumerate(probes):
            job(home / "probes" / name, "train", "--name", name, "--store", "text", "--seed", str(seed))
    others = ["--seed-probes", ",".join(probes[1:])] if len(probes) > 1 else []
    job(home / "graphs" / "text", "graph", "--name", "text", "--probe", probes[0], "--store", "text", *others)
    if not options.graph_alone:
        measure(home, probes)
        ship_probes(home, probes)
    ship_graph(home, bundled)
    ship_beside(home, "text")


def measure(home: Path, probes: list[str]) -> None:
    """The figures of every probe on held-out text, beside those of the other seeds."""
    from jobs import job

    for name in probes:
        beside = ",".join(other for other in probes if other != name)
        flags = ["--beside", beside] if beside else []
        job(
            home / "probes" / f"{name}-measured",
            "measure",
            name,
            "--name",
            f"{name}-measured",
            "--store",
            "text",
            *flags,
        )


def _bundled(seed: int) -> str:
    return "bundled/text" if seed == 0 else f"bundled/text-seed-{seed}"


def ship_probes(home: Path, probes: list[str]) -> None:
    """Copy the measured probes into assets."""
    for seed, made in enumerate(probes):
        target = ROOT / "assets" / "probes" / _bundled(seed).removeprefix("bundled/")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(home / "probes" / f"{made}-measured", target)


def ship_graph(home: Path, bundled: list[str]) -> None:
    """Copy the graph into assets; it then names the bundled probes."""
    from concept_graphs.graph import ConceptGraph

    graph = ConceptGraph.load(home / "graphs" / "text")
    title = "SmolLM2-135M-Instruct on two centuries of speeches and Moby Dick"
    settings = {**graph.meta.settings, "probe": bundled[0], "seed_probes": bundled[1:]}
    meta = graph.meta.model_copy(update={"probe": bundled[0], "name": "text", "title": title, "settings": settings})
    target = ROOT / "assets" / "graphs" / "text"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shipped = ConceptGraph(meta, graph.nodes, graph.edges, graph.examples)
    (target / "comparison.json").write_text(steered_example(shipped))
    shipped.save(target, command="make assets-text", licence=LICENCE)


def steered_example(graph: ConceptGraph) -> str:
    """One comparison, so that the Steer page has something to show before a model is loaded: the lever of
    the middle concept whose label finds it best among those with a confirmed part and a common frequency."""
    from probes.hierarchy.probe import open_probe
    from probes.subjects.loading import load_subject
    from steering.contexts import contexts_of
    from steering.generate import compare
    from steering.levers import lever_of

    common = [node for node in graph.nodes if node.level == "middle" and 1e-3 < node.frequency < 1e-2]
    built = [node for node in common if any(edge.confirmed for edge in graph.children(node.id))]
    chosen = max(built, key=lambda node: node.detection or 0.0)
    subject, probe = load_subject(graph.meta.subject), open_probe(graph.meta.probe)
    found = compare(
        subject,
        probe,
        [lever_of(chosen.id, 1.5)],
        PROMPT,
        concept=chosen.label,
        contexts=contexts_of(subject, graph.examples[chosen.id]),
    )
    return found.model_dump_json(indent=1)


if __name__ == "__main__":
    main()
