"""Groups of concepts, called supernodes elsewhere: proposed by the workbench, edited by people, kept in one file.

A group is a name and its members. Groups are no part of a graph's own files, which nothing edits: they are the
user's, and are laid over whatever graph they are opened with. Members that a graph does not have are kept, for the
next extraction may have them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, field_validator

from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import ConceptId
from probes.configs import Frozen
from probes.errors import WorkbenchError

GROUPS_FILE = "groups.json"
LONGEST_NAME = 120
MOST_GROUPS, MOST_MEMBERS = 500, 5000

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


class Group(Frozen):
    """Some concepts under one name."""

    key: str = Field(pattern=r"^g[0-9]{1,9}$", description="What the group is known by; it stays when renamed.")
    name: Name = Field(description="Name for people.")
    members: tuple[ConceptId, ...] = Field(max_length=MOST_MEMBERS, description="Its concepts, in order.")
    proposed: bool = Field(False, description="Whether the workbench made it and nobody has changed it since.")

    @field_validator("members")
    @classmethod
    def _once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(members))


class Groups(Frozen):
    """All groups of a graph, as they lie in the file groups.json."""

    schema_version: Literal[1] = Field(1, description="Version of this format.")
    groups: tuple[Group, ...] = Field((), max_length=MOST_GROUPS, description="The groups, in order.")

    @field_validator("groups")
    @classmethod
    def _unique(cls, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        if len({group.key for group in groups}) < len(groups):
            raise ValueError("two groups have the same key")
        return groups

    @classmethod
    def of(cls, named: Iterable[tuple[str, Iterable[str]]], *, proposed: bool = False) -> Groups:
        """Groups from names and members, with keys of their own."""
        rows = enumerate(named, start=1)
        return cls(
            groups=tuple(
                Group(key=f"g{at}", name=clean(name), members=tuple(members), proposed=proposed)
                for at, (name, members) in rows
            )
        )

    def group(self, key: str) -> Group:
        """One group. Raises `WorkbenchError` where there is none of that key."""
        for group in self.groups:
            if group.key == key:
                return group
        raise WorkbenchError(
            "no-such-group",
            "The group cannot be changed",
            f"there is none called {key[:20]!r} any more",
            "Reload the page to see the groups as they are now.",
        )

    def renamed(self, key: str, name: str) -> Groups:
        """With another name for one group. Raises `WorkbenchError` for an empty one."""
        return self._with(self.group(key), name=clean(name))

    def joined(self, key: str, concept: str) -> Groups:
        """With one member more in a group."""
        group = self.group(key)
        if len(group.members) >= MOST_MEMBERS:
            raise _full(f"a group has at most {MOST_MEMBERS:,} members")
        return self._with(group, members=tuple(dict.fromkeys((*group.members, concept))))

    def left(self, key: str, concept: str) -> Groups:
        """With one member less in a group; a group nobody is left in goes with the last one."""
        group = self.group(key)
        members = tuple(member for member in group.members if member != concept)
        return self._with(group, members=members) if members else self.without(key)

    def without(self, key: str) -> Groups:
        """Without one group."""
        gone = self.group(key)
        return Groups(groups=tuple(group for group in self.groups if group is not gone))

    def with_new(self, name: str, members: Iterable[str], *, proposed: bool = False) -> Groups:
        """With one group more, at the end."""
        if len(self.groups) >= MOST_GROUPS:
            raise _full(f"a graph has at most {MOST_GROUPS:,} groups")
        number = 1 + max((int(group.key[1:]) for group in self.groups), default=0)
        made = Group(key=f"g{number}", name=clean(name), members=tuple(members), proposed=proposed)
        return Groups(groups=(*self.groups, made))

    def with_proposals(self, proposals: Groups) -> Groups:
        """The groups people made or changed, and after them the proposals that share no member with those."""
        kept = Groups(groups=tuple(group for group in self.groups if not group.proposed))
        taken = {member for group in kept.groups for member in group.members}
        for group in proposals.groups:
            if taken.isdisjoint(group.members) and len(kept.groups) < MOST_GROUPS:
                kept = kept.with_new(group.name, group.members, proposed=True)
        return kept

    def first_of(self, graph: ConceptGraph) -> dict[str, Group]:
        """Concept of the graph to the group it is drawn in: the first that has it."""
        found: dict[str, Group] = {}
        for group in self.groups:
            for member in group.members:
                if member in graph:
                    found.setdefault(member, group)
        return found

    def _with(self, group: Group, **changes: object) -> Groups:
        made = Group(**{**group.model_dump(), "proposed": False, **changes})
        return Groups(groups=tuple(made if other is group else other for other in self.groups))


def clean(name: str) -> str:
    """A name on one line and of a length that fits. Raises `WorkbenchError` for an empty one."""
    text = " ".join(name.split())[:LONGEST_NAME].strip()
    if not text:
        raise WorkbenchError("no-name", "The group cannot be named", "the name is empty", "Give it a name.")
    return text


def _full(why: str) -> WorkbenchError:
    return WorkbenchError("too-many", "The groups cannot be changed", why, "Remove what is no longer needed first.")
