"""Between the rack on screen and lever sets: nothing is lost, nothing hostile passes, commands say the same."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from app.commands import build_parser
from app.components.lever_rack import MOST_LEVERS, LeverRow, Rack, rack_of, with_lever
from app.components.token_strip import token_cells
from app.desk import choices, levers_of, operations, rack_from, row_for, shares
from app.graphs import GraphLibrary, OpenGraph
from app.pages.graph import spec_of
from app.pages.pinning import pinned
from app.pages.steer_command import Ask, asked, command_line
from app.trying import levers_asked
from probes.artefacts import artefact_path, home
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Probe
from steering.levers import Lever, OperationParams
from steering.parts import confirmed_parts
from steering.registry import OPERATIONS
from steering.sources import Source
from tests.fixtures.graphs import make_graph


@pytest.fixture(scope="module")
def opened(data_home: Any) -> OpenGraph:
    folder = artefact_path("graph", "desk")
    folder.mkdir(parents=True)
    make_graph(10, 8, 4).save(folder)
    return GraphLibrary().open("desk")


def opened_row(opened: OpenGraph) -> Callable[[str], LeverRow]:
    return partial(row_for, opened.graph)


def source(opened: OpenGraph) -> Source:
    """The graph alone: flags are checked against its concepts, and no probe is opened."""
    return Source(subject="", probe=cast(Probe, None), graph=opened.graph)


def _rack(opened: OpenGraph, **fields: Any) -> Rack:
    row = row_for(opened.graph, opened.graph.nodes["id"][0]).model_copy(update=fields)
    return Rack(levers=(row,))


def test_a_rack_comes_back_from_its_levers(opened: OpenGraph) -> None:
    rack = _rack(opened, operation="set", strength=0.5, aim=2.0, where="generated", weights={"1": 1.0, "2": -0.5})
    rack = with_lever(rack, row_for(opened.graph, opened.graph.nodes["id"][-1]))
    levers = levers_of(rack)
    assert levers[0].params.level == 2.0 and levers[0].where == "positions=generated"
    shown = [lever for lever in levers if f"{lever.level}/{max(lever.weights)}" in opened.graph]
    assert levers_of(rack_from(shown, opened_row(opened))) == shown


def test_levers_the_rack_cannot_show_are_refused(opened: OpenGraph) -> None:
    first = opened.graph.node(opened.graph.nodes["id"][0])
    far = {"params": OperationParams(level=50.0)}
    for fields in (far, {"where": "positions=0-3"}, {"strength": 50.0}):
        lever = Lever(**{"level": first.level, "weights": {first.index: 1.0}, **fields})
        with pytest.raises(WorkbenchError, match="cannot be shown"):
            rack_from([lever], opened_row(opened))
    with pytest.raises(WorkbenchError, match="no concept"):
        rack_from([Lever(level="low", weights={999_999: 1.0})], opened_row(opened))


def test_the_same_concept_can_be_a_lever_twice_and_the_rack_is_bounded(opened: OpenGraph) -> None:
    row, rack = row_for(opened.graph, opened.graph.nodes["id"][0]), Rack()
    for _ in range(MOST_LEVERS):
        rack = with_lever(rack, row)
    assert len({lever.key for lever in rack.levers}) == MOST_LEVERS
    with pytest.raises(WorkbenchError, match="the rack holds"):
        with_lever(rack, row)


GOOD = {"key": "a", "concept": "low/1", "label": "", "level": "low"}


@pytest.mark.parametrize(
    "value",
    [
        [1],
        {"levers": "x"},
        {"levers": [], "more": 1},
        {"levers": [{"key": "a"}]},
        {"levers": [GOOD | {"concept": "../x"}]},
        {"levers": [GOOD | {"strength": float("nan")}]},
        {"levers": [GOOD | {"strength": 1e9}]},
        {"levers": [GOOD | {"where": "everywhere"}]},
        {"levers": [GOOD] * 1000},
    ],
)
def test_what_is_no_rack_is_refused(value: Any) -> None:
    with pytest.raises(WorkbenchError):
        rack_of(value)


def test_every_operation_on_screen_is_in_the_registry() -> None:
    rows = operations()
    assert {row["name"] for row in rows} == set(OPERATIONS)
    assert all(row["low"] <= row["start"] <= row["high"] and row["sentence"] for row in rows)


def test_shares_are_per_unit_of_strength(opened: OpenGraph) -> None:
    rack = _rack(opened, strength=2.0)
    key = rack.levers[0].key
    assert shares(rack, {"levers": [{"share": 0.6, "moved": 4}]}) == {key: pytest.approx(0.3)}
    assert shares(rack, {"levers": [{"share": 0.0, "moved": 0}]}) == {}


def test_pins_are_never_written_over(data_home: Any) -> None:
    said = {pinned({"prompt": "../../etc <b>", "seed": 0}) for _ in range(3)}
    assert len(said) == 3
    kept = sorted((home() / "pins").glob("*etc-b*.json"))
    assert len(kept) == 3
    kept[0].unlink()
    pinned({"prompt": "../../etc <b>", "seed": 1})
    assert kept[2].read_text().count('"seed": 0') == 1


def test_the_command_line_says_the_same(opened: OpenGraph) -> None:
    rack = _rack(opened, operation="scale", strength=-1.0, where="prompt")
    second = row_for(opened.graph, opened.graph.nodes["id"][1])
    both = with_lever(rack, second.model_copy(update={"operation": "scale", "strength": -1.0, "where": "prompt"}))
    said = shlex.split(command_line("desk", both, Ask(prompt="a 'b' $(c)", seed=7, tokens=5, temperature=0.0)))
    options = build_parser("steer").parse_args(said[3:])
    assert options.concept == [lever.concept for lever in both.levers]
    assert (options.strength, options.operation, options.where) == (-1.0, "scale", "positions=prompt")
    assert (options.prompt, options.seed, options.tokens, options.temperature) == ("a 'b' $(c)", [7], 5, 0.0)
    uneven = with_lever(rack, second)
    said = command_line("desk", uneven, Ask(prompt="- a", controls=False))
    options = build_parser("steer").parse_args(shlex.split(said, comments=True)[3:])
    assert (str(options.levers), options.concept, options.prompt) == ("levers.json", [], "- a")
    assert not options.controls


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "cap", "aim": 0.5},
        {"operation": "set", "strength": 0.25, "where": "generated"},
        {"operation": "swap", "target": "other"},
        {"operation": "patch", "donor": "-- another text"},
        {"operation": "project", "strength": 0.0},
    ],
)
def test_every_operation_of_the_rack_can_be_said_in_a_command(opened: OpenGraph, fields: dict[str, Any]) -> None:
    first, other = (opened.graph.node(name) for name in opened.graph.nodes["id"][:2])
    assert first.level == other.level
    if "target" in fields:
        fields = fields | {"target": other.index}
    rack = _rack(opened, **fields)
    said = shlex.split(command_line("desk", rack, Ask(prompt="a")))
    assert levers_asked(build_parser("steer").parse_args(said[3:]), source(opened)) == levers_of(rack)
    assert levers_of(rack_from(levers_of(rack), opened_row(opened))) == levers_of(rack)


def test_a_swap_of_the_command_line_stays_on_its_level(opened: OpenGraph) -> None:
    low, high = opened.graph.nodes["id"][0], opened.graph.nodes["id"][-1]
    asked_for = ["steer", "desk", "--concept", low, "--operation", "swap", "--target", high, "--prompt", "x"]
    with pytest.raises(WorkbenchError, match="one level"):
        levers_asked(build_parser("steer").parse_args(asked_for), source(opened))


def test_the_rack_offers_companions_and_what_a_swap_can_move_to(opened: OpenGraph) -> None:
    graph = opened.graph
    node = next(node for node in graph.nodes if len(node.companions) == 2)
    row = row_for(graph, node.id)
    assert [(f"{row.level}/{latent}", weight) for latent, weight in row.companions.items()] == node.companions
    offered = choices(graph)
    assert list(offered) == [level.name for level in graph.meta.levels]
    assert {f"{level}/{latent}" for level, rows in offered.items() for latent, _ in rows} == set(graph.nodes["id"])


@pytest.mark.parametrize(
    "form", [("", 0, 40, 0.7, True), ("x", -1, 40, 0.7, True), ("x", 0, 10**6, 0.7, True), (None, 0, 40, 0.7, True)]
)
def test_a_form_out_of_bounds_is_refused(form: tuple[Any, ...]) -> None:
    with pytest.raises(WorkbenchError):
        asked(*form)


def test_the_toolbar_is_a_view() -> None:
    assert spec_of({}).verdicts() == {"composed", "carried", "generated"}
    assert spec_of({"unsupported": True}).verdicts() == {"composed", "carried", "generated", "unsupported", "untested"}
    for bar in ({"levels": ["<b>"]}, {"top_k": 10**9}, {"min_effect": "x"}, {"search": "x" * 1000}):
        with pytest.raises(WorkbenchError):
            spec_of(bar)


def test_labels_are_kept_and_taken_back(opened: OpenGraph) -> None:
    library, concept = GraphLibrary(), opened.graph.nodes["id"][0]
    original = opened.graph.node(concept).label
    renamed = library.rename("desk", concept, "  mine \n and yours ")
    assert renamed.graph.node(concept).label == "mine and yours"
    assert renamed.original == {concept: original}
    assert GraphLibrary().open("desk").graph.node(concept).label == "mine and yours"
    assert library.rename("desk", concept, "").graph.node(concept).label == original
    with pytest.raises(WorkbenchError):
        library.rename("desk", "low/999999", "x")


def test_tokens_show_what_is_hidden() -> None:
    cells = token_cells([" a", "\u202egnp", "\n", "\x00"], [1.0, None, 0.0])
    assert [cell["text"] for cell in cells] == [" a", "⟨U+202E⟩gnp", "↵", "⟨U+0000⟩"]
    assert cells[0]["shown"] == "␣a" and cells[0]["value"] == 1.0
    assert "value" not in cells[1] and cells[2]["breaks"]


def test_a_lever_takes_along_its_confirmed_parts_and_no_others(opened: OpenGraph) -> None:
    graph = opened.graph
    built = next(n.id for n in graph.nodes if sum(e.confirmed and bool(e.effect) for e in graph.children(n.id)) > 1)
    parts = confirmed_parts(graph, built, 3)
    edges = {edge.source: edge for edge in graph.children(built)}
    assert 0 < len(parts) <= 3 and max(parts.values()) == 1.0
    assert all(edges[part].confirmed and 0 < share <= 1 for part, share in parts.items())
    asked_for = ["steer", "desk", "--concept", built, "--strength", "2", "--parts", "3", "--prompt", "x"]
    levers = levers_asked(build_parser("steer").parse_args(asked_for), source(opened))
    moved = {f"{lever.level}/{next(iter(lever.weights))}": lever.strength for lever in levers}
    assert moved == {built: 2.0} | {part: pytest.approx(2 * share) for part, share in parts.items()}
