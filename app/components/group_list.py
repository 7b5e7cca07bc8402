"""The groups of a graph as a list to edit: names, members, and what makes new ones."""

from __future__ import annotations

from typing import Any, ClassVar

from app.components.base import Drawn
from concept_graphs.graph import ConceptGraph
from concept_graphs.groups import Groups

MOST_SHOWN = 40  # members of a group that are listed


class GroupList(Drawn):
    """Value: what `group_rows` returns. Prop: `concept`, id and label of the concept in the inspector, or none.

    Events: `group_rename` with `{key, name}`, `group_add` and `group_remove` with `{key, id}`, `group_delete` with
    `{key}`, `group_new` with `{id}`, `groups_propose`, `group_open` with `{id}`. Their content is outside data.
    """

    source: ClassVar[str] = "group_list"


def group_rows(graph: ConceptGraph, groups: Groups) -> list[dict[str, Any]]:
    """The groups as plain data."""
    return [
        {
            "key": group.key,
            "name": group.name,
            "proposed": group.proposed,
            "members": [
                {"id": member, "label": graph.node(member).label if member in graph else "not in this graph"}
                for member in group.members[:MOST_SHOWN]
            ],
            "more": max(0, len(group.members) - MOST_SHOWN),
        }
        for group in groups.groups
    ]
