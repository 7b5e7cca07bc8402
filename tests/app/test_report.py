"""The report: page and twin say the same, what people and pins add is there, nothing needs the network."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app import jobs
from app.graphs import GraphLibrary
from app.pins import LONGEST
from app.pins import pin as pin_run
from app.report import ReportConfig, ReportTwin
from app.report_evidence import card_concepts, strongest_edges
from app.worker import execute
from concept_graphs.graph import ConceptGraph, EdgeTable
from probes.addresses import Selector
from probes.artefacts import artefact_path, home, read_manifest
from probes.errors import WorkbenchError
from probes.files import write_json
from probes.masks import Mask
from steering.comparison import PictureComparison
from steering.levers import lever_of
from tests.browser.conftest import fake_compare
from tests.fixtures.graphs import HOSTILE, make_graph, make_picture_graph

MINE = "<b>mine</b> & yours"


class Page(HTMLParser):
    """A report as a browser's parser sees it: tags with attributes, text by element, scripts apart."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    def ids(self) -> set[str]:
        return {str(attributes["id"]) for _, attributes in self.tags if "id" in attributes}


@pytest.fixture(scope="module")
def graph(data_home: Path) -> ConceptGraph:
    """A hostile graph of its own, with one label given by a person."""
    folder = artefact_path("graph", "reported")
    folder.mkdir(parents=True)
    made = make_graph(24, 16, 8, seed=2, hostile=True)
    made.save(folder)
    GraphLibrary().rename("reported", made.nodes["id"][0], MINE)
    return made


@pytest.fixture(scope="module")
def pin(graph: ConceptGraph) -> str:
    """A pinned run on the concept with the fewest edges, which gets no card by its connections."""
    key = min(graph.nodes["id"], key=lambda k: (len(graph.parents(k)) + len(graph.children(k)), k))
    (home() / "pins").mkdir(exist_ok=True)
    write_json(home() / "pins" / "001-call.json", fake_compare(None, None, [lever_of(key, 1.5)], HOSTILE[0], seed=3))
    return key


def written(**settings: Any) -> tuple[str, ReportTwin, Path]:
    """Page, twin and folder of a report with these settings."""
    folder = execute(jobs.new_run("report", ReportConfig(**{"graph": "reported", **settings})))
    assert folder is not None
    twin = ReportTwin.model_validate(json.loads((folder / "report.json").read_text()))
    return (folder / "report.html").read_text(encoding="utf-8"), twin, folder


@pytest.fixture(scope="module")
def report(graph: ConceptGraph, pin: str) -> tuple[str, ReportTwin, Path]:
    return written(name="whole", pins=("001-call",), concepts=12, edges=30)


def test_the_page_shows_what_the_twin_holds(report: tuple[str, ReportTwin, Path]) -> None:
    content, twin, folder = report
    page = Page(content)
    assert len(twin.concepts) == 12 and len(twin.edges) == 30
    assert {f"concept-{key.replace('/', '-')}" for key in twin.concepts} <= page.ids()
    for source, target in twin.edges:
        assert source in page.text and target in page.text
    for found in (*twin.hashes.values(), twin.written, twin.command, *twin.versions.values()):
        assert found in page.text
    assert hashlib.sha256((folder / "report.json").read_bytes()).hexdigest() in page.text
    assert set(read_manifest(folder, verify=True).files) == {"report.html", "report.json"}


def test_numbers_on_the_page_are_the_graphs_own(report: tuple[str, ReportTwin, Path], graph: ConceptGraph) -> None:
    content, twin, _ = report
    page = Page(content)
    for source, target in twin.edges[:10]:
        edge = graph.edge(source, target)
        for value in (edge.effect, edge.effect_low, edge.null95):
            assert value is not None and f"{value:#.3g}".replace("-", "−") in page.text
    node = graph.node(twin.concepts[0])
    assert (
        f"{node.frequency:.2%}" in page.text and f"[{node.detection_low:.2f}, {node.detection_high:.2f}]" in page.text
    )


def test_the_twins_graph_is_a_graph_with_the_labels_of_people(
    report: tuple[str, ReportTwin, Path], graph: ConceptGraph, tmp_path: Path
) -> None:
    twin = report[1]
    changed = graph.nodes["id"][0]
    (tmp_path / "graph.json").write_text(json.dumps(twin.graph.model_dump(mode="json")))
    loaded = ConceptGraph.load(tmp_path)
    labels = dict(zip(graph.nodes["id"], graph.nodes["label"], strict=True))
    assert twin.original_labels == {changed: labels[changed]}
    assert dict(zip(loaded.nodes["id"], loaded.nodes["label"], strict=True)) == labels | {changed: MINE}
    assert loaded.edges == graph.edges and loaded.meta == graph.meta
    whole, _, _ = written(name="all-cards", concepts=48)
    page = Page(whole)
    assert MINE in page.text and "Label given by a person" in page.text
    assert "<b>mine" not in whole.replace("\\u003cb>mine", "")


def test_a_pinned_run_appears_with_its_levers_controls_and_card(report: tuple[str, ReportTwin, Path], pin: str) -> None:
    content, twin, _ = report
    page = Page(content)
    assert pin in twin.concepts
    assert {"steering", "steering-1"} <= page.ids()
    (found,) = twin.comparisons
    for text in (found.prompt, found.steered.text.strip(), *(row.name for row in found.controls), "−0.150"):
        assert text in page.text
    assert f"#concept-{pin.replace('/', '-')}" in {attributes.get("href") for _, attributes in page.tags}
    without = Page(written(name="plain")[0])
    assert "steering" not in without.ids()


def test_a_run_of_another_probe_is_not_taken_for_this_graphs(graph: ConceptGraph, tmp_path: Path) -> None:
    key = graph.nodes["id"][-1]
    path = tmp_path / "pin.json"
    write_json(path, {**fake_compare(None, None, [lever_of(key, 1.0)], "Hello", seed=0), "probe": "another"})
    content, twin, _ = written(name="foreign", pins=(str(path),), concepts=1)
    part = content[content.index('id="steering-1"') : content.index('id="concepts"')]
    assert "Made with the probe another" in part and "<a " not in part
    assert key in part and twin.concepts != (key,)


def png(colour: str, side: int = 8) -> str:
    held = io.BytesIO()
    Image.new("RGB", (side, side // 2), colour).save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()


def painted_run(key: str, **changed: Any) -> dict[str, Any]:
    """A comparison of pictures of two seeds with a hostile control, as `steer --json` writes it."""
    row = {"name": "unsteered", "prompt": "a cat", "pictures": [png("red"), png("blue")], "drift": [0.1, 0.3]}
    mask = str(Selector(cells=Mask.box(0, 0, 1, 0.5)))
    return {
        "subject": "bundled/toy", "probe": "painted", "prompt": "a cat", "negative": HOSTILE[0], "seeds": [3, 4],
        "steps": 7, "guidance": 2.5, "noise": [1.0, 0.5], "unsteered": row,
        "steered": {**row, "name": "steered", "rmse": [0.25, 0.35], "rmse_inside": [0.25, 0.35]},
        "difference": [png("grey"), png("white")], "gain": 3.0,
        "controls": [{**row, "name": HOSTILE[1], "prompt": HOSTILE[0], "rmse_inside": [0.5, 0.5]}],
        "levers": [{"lever": lever_of(key, 1.5, where=mask).model_dump(), "places": 9, "moved": 5, "share": 0.3,
                    "largest_share": 0.4}],
        "previews": [{"noise": 1.0, "picture": png("green")}], "notices": [HOSTILE[1]],
        "command": "python -m app steer painted --prompt 'a cat' <b>",
    } | changed  # fmt: skip


def test_a_pinned_run_of_pictures_is_embedded_with_its_settings_and_command(graph: ConceptGraph) -> None:
    found = painted_run(graph.nodes["id"][0], difference=[png("grey", 1024), png("white")])
    content, twin, _ = written(name="painted", pins=(pin_run(found),), concepts=1)
    page, (kept,) = Page(content), twin.comparisons
    assert isinstance(kept, PictureComparison) and kept.previews == []
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    shown = [kept.unsteered, kept.steered]
    rows = [[*(row.pictures[at] for row in shown), kept.difference[at]] for at in range(2)]
    assert [one["src"] for one in images[:6]] == [address for row in rows for address in row]
    assert len(images) == 8 and all(one["alt"] for one in images)
    # A large picture is reduced when it is pinned, a small one stays as it was made.
    assert kept.unsteered.pictures == found["unsteered"]["pictures"] and len(kept.difference[0]) < 10_000
    width = int.from_bytes(base64.b64decode(kept.difference[0].partition(",")[2])[16:20], "big")
    assert width == LONGEST
    for text in ("Seed 3, 4, 7 steps, guidance 2.5", "0.3000", "20%", "64 x 64 cells", found["command"], HOSTILE[1]):
        assert text in page.text, text
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not {tag for tag, _ in page.tags} & {"iframe", "object", "form", "input", "embed"}


def test_no_report_replaces_that_of_another_graph(graph: ConceptGraph, tmp_path: Path) -> None:
    _, first, folder = written(name="mine")
    assert written(name="mine", concepts=3)[2] == folder, "written again"
    with pytest.raises(WorkbenchError, match=r"reports/mine exists: it is a report of reported.*Choose another name"):
        jobs.new_run("report", ReportConfig(name="mine", graph="bundled/text"))
    assert ReportTwin.model_validate(json.loads((folder / "report.json").read_text())).title == first.title


def test_the_cards_of_images_show_their_pictures_and_where_the_concept_is(data_home: Path) -> None:
    folder = artefact_path("graph", "pictured")
    folder.mkdir(parents=True)
    make_picture_graph("pictured").save(folder)
    content, twin, _ = written(graph="pictured", name="pictured", concepts=1)
    page, (key,) = Page(content), twin.concepts
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 6 and len(twin.pictures[key]) == 3 and twin.examples == {}
    assert str(images[0]["src"]).endswith(twin.pictures[key][0].png)
    assert "row 2 of 2, column 3 of 4" in str(images[1]["alt"]) and "held-out text" not in page.text
    heat = Image.open(io.BytesIO(base64.b64decode(str(images[1]["src"]).partition(",")[2])))
    cells = [heat.getpixel((4 * column + 1, 4 * row + 1)) for row in range(2) for column in range(4)]
    redness = [red - blue for red, _, blue in cells]
    assert heat.size == (16, 8) and redness.index(max(redness)) == 6 and redness[0] == 0


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"difference": ["difference-3.png", "x.png"]}, "not inside the file"),
        ({"difference": [png("red")]}, "one picture per seed"),
        ({"seeds": []}, "one picture per seed"),
        ({"steps": "many"}, "steps"),
    ],
)
def test_pictures_that_cannot_be_embedded_are_one_sentence(
    graph: ConceptGraph, tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    write_json(tmp_path / "pin.json", painted_run(graph.nodes["id"][0], **changed))
    with pytest.raises(WorkbenchError, match=why):
        written(name="no-pictures", pins=(str(tmp_path / "pin.json"),))


def test_no_address_but_an_embedded_picture_reaches_the_page(graph: ConceptGraph, tmp_path: Path) -> None:
    bad = 'data:image/png;base64,AAAA" onerror="alert(1)'
    write_json(tmp_path / "pin.json", painted_run(graph.nodes["id"][0], difference=[bad, bad]))
    page = Page(written(name="bad-pictures", pins=(str(tmp_path / "pin.json"),), concepts=1)[0])
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "no picture" in page.text


def test_the_policy_allows_two_scripts_and_no_address(report: tuple[str, ReportTwin, Path]) -> None:
    content = report[0]
    page = Page(content)
    (policy,) = (a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy and "http" not in policy
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    run = [text for text, kind in zip(page.scripts, kinds, strict=True) if kind is None]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes and len(run) == 2
    assert not [
        attributes for tag, attributes in page.tags if attributes.get("src") or tag in {"link", "base", "iframe"}
    ]
    assert all(str(attributes["href"]).startswith("#") for tag, attributes in page.tags if tag == "a")


def test_links_lead_somewhere(report: tuple[str, ReportTwin, Path]) -> None:
    page = Page(report[0])
    targets = {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"}
    assert targets and targets <= page.ids()
    listed = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(listed) == len(set(listed))


def test_hostile_text_makes_no_element(report: tuple[str, ReportTwin, Path]) -> None:
    content, twin, _ = report
    page = Page(content)
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "object", "form", "input", "embed"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert twin.title == HOSTILE[1] and HOSTILE[1] in page.text
    assert "\u202e" not in content and "\x00" not in content


def test_cards_are_shared_among_levels_and_pins_come_first() -> None:
    graph = make_graph(30, 20, 9, seed=4)
    chosen = card_concepts(graph, [], 9)
    assert [key.partition("/")[0] for key in chosen] == ["high"] * 3 + ["middle"] * 3 + ["low"] * 3
    assert len(card_concepts(graph, [], 10**6)) == len(set(card_concepts(graph, [], 10**6))) == 59
    ranked = strongest_edges(graph, 10**6)
    confirmed = [edge.confirmed for edge in ranked]
    assert confirmed == sorted(confirmed, reverse=True) and len(ranked) == len(graph.edges)


def test_a_graph_without_edges_or_examples_is_reported(data_home: Path) -> None:
    folder = artefact_path("graph", "bare")
    folder.mkdir(parents=True)
    made = make_graph(3, 2, 1, examples=0)
    ConceptGraph(made.meta, made.nodes, EdgeTable.from_rows([])).save(folder)
    content, twin, _ = written(graph="bare", name="bare")
    assert twin.edges == () and twin.examples == {}
    assert {"summary", "graph", "edges", "provenance"} <= Page(content).ids()


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "not valid JSON"), ("[1]", "not usable"), ('{"prompt": "x", "seed": 0}', "field subject")],
)
def test_a_damaged_pin_is_one_sentence(graph: ConceptGraph, tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "pin.json"
    path.write_text(content)
    with pytest.raises(WorkbenchError, match=why):
        written(name="damaged", pins=(str(path),))
    for name in ("nothing", "../graphs/reported/graph"):
        with pytest.raises(WorkbenchError):
            written(name="damaged", pins=(name,))
    assert not artefact_path("report", "damaged").exists()
