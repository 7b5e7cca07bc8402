"""The tour in Python: `python tour.py notes.txt [name]` captures, trains, extracts, steers and reports."""

import sys

from app.pins import pin
from app.worker import run_job
from concept_graphs.graph import ConceptGraph
from probes.subjects.loading import load_subject
from steering.levers import lever_of
from steering.on_graph import compare_on_graph

text, name = sys.argv[1], (sys.argv[2:] or ["tour"])[0]
run_job("capture", name=name, corpus=text, max_tokens=60_000)
run_job("train", name=name, store=name, preset="tiny")
run_job("graph", name=name, probe=name, edges=40, rows=20_000)

graph = ConceptGraph.open(name)
subject = load_subject(graph.meta.subject)
concept = max(graph.nodes, key=lambda node: node.detection or 0.0)
lever = lever_of(concept.id, strength=2.0)
found = compare_on_graph(subject, graph, [lever], "The captain said", concept=concept.id)
print(graph, concept.label, found.unsteered.text, found.steered.text, sep="\n")
print(run_job("report", name=name, graph=name, pins=[pin(found)]) / "report.html")
