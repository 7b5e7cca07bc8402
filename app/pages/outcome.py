"""A comparison as the value of a `ComparisonView` or of `PicturesView`s."""

from __future__ import annotations

from typing import Any

from app.components.token_strip import token_cells


def outcome_value(found: Any) -> dict[str, Any]:
    """`found` is a `steering.comparison.Comparison` or its JSON as a dictionary."""
    data = found if isinstance(found, dict) else found.model_dump(mode="json")
    plain, steered = data["unsteered"], data["steered"]
    per_token = steered["damage_per_token"]
    scale = max([abs(value) for value in per_token] or [1.0])
    rows = [
        {
            "name": row["name"],
            "note": "" if row["prompt"] == data["prompt"] else row["prompt"].removesuffix(data["prompt"]).strip(),
            "text": row["text"],
            "damage": row["damage"],
            "main": row["name"] == "steered",
        }
        for row in (steered, *data["controls"])
    ]
    return {
        "unsteered": {
            "tokens": token_cells(plain["tokens"], per_token),
            "scale": scale,
            "hint": "colour: change of each token's log-probability under the levers, nats",
        },
        "steered": {"tokens": token_cells(steered["tokens"]), "hint": f"same seed ({data['seed']})"},
        "facts": _facts(data),
        "rows": rows,
        "rows_note": "same places and the same norm; damage is of the unsteered text, lower is worse",
        "notices": data["notices"],
    }


def _facts(data: dict[str, Any]) -> list[dict[str, str]]:
    damage = data["steered"]["damage"]
    facts = [
        {
            "name": "damage",
            "value": "–" if damage is None else f"{damage:+.3f}",
            "note": f"nats per token of the unsteered text, n {len(data['steered']['damage_per_token'])}",
        }
    ]
    for lever in data["levers"]:
        latent = next(iter(lever["lever"]["weights"]))
        facts.append(
            {
                "name": f"{lever['lever']['level']}/{latent}",
                "value": f"{lever['share']:.0%} of the norm",
                "note": f"largest {lever['largest_share']:.0%}, {lever['moved']} of {lever['places']} places",
            }
        )
    return facts


def pictures_value(data: dict[str, Any]) -> dict[str, Any]:
    """`data` is the JSON of a `steering.comparison.PictureComparison`, its pictures as data addresses."""
    names = ("seeds", "difference", "gain", "notices")
    return {name: data[name] for name in names} | {
        "before": data["unsteered"]["pictures"],
        "after": data["steered"]["pictures"],
        "rmse": data["steered"]["rmse"],
    }


def evidence_value(data: dict[str, Any]) -> dict[str, Any]:
    """The figures of the same comparison, and its controls."""
    steered = data["steered"]
    masked = bool(steered["rmse_outside"])
    rows = [
        {
            "name": row["name"],
            "note": "" if row["prompt"] == data["prompt"] else row["prompt"],
            "picture": row["pictures"][0],
            "cells": [_mean(row[key], 4) for key in ("rmse_inside", *(["rmse_outside"] if masked else []))]
            + [_mean(row["drift"], 2, percent=True)],
            "main": row["name"] == "steered",
        }
        for row in (steered, *data["controls"])
    ]
    count = len(data["seeds"])
    return {
        "facts": _picture_facts(data),
        "rows": rows if data["controls"] else [],
        "headers": ["", "", *(["inside", "outside"] if masked else ["change"]), "drift"],
        "rows_note": f"root mean square difference from unsteered, n {count} picture{'s' if count > 1 else ''}; "
        "drift at the last block, lower is gentler",
    }


def _picture_facts(data: dict[str, Any]) -> list[dict[str, str]]:
    steered, n = data["steered"], len(data["seeds"])
    masked = bool(steered["rmse_outside"])
    facts = [
        {
            "name": "change where masked" if masked else "change",
            "value": _mean(steered["rmse_inside"], 4),
            "note": f"root mean square, values 0 to 1, n {n}",
        }
    ]
    if masked:
        note = "lower keeps more of the picture"
        facts.append({"name": "change elsewhere", "value": _mean(steered["rmse_outside"], 4), "note": note})
    if steered["drift"]:
        facts.append(
            {"name": "drift", "value": _mean(steered["drift"], 2, percent=True), "note": "at the last block and step"}
        )
    for lever in data["levers"]:
        latents = list(lever["lever"]["weights"])
        more = f" and {len(latents) - 1} more" if len(latents) > 1 else ""
        clipped = f", {lever['clipped'] / lever['places']:.0%} held back" if lever["clipped"] else ""
        effective = "" if lever["effective"] is None else f"effective strength {lever['effective']:.3g}, "
        facts.append(
            {
                "name": f"{lever['lever']['level']}/{latents[0]}{more}",
                "value": f"{lever['share']:.0%} of the activation",
                "note": f"{effective}{lever['moved']} of {lever['places']} places{clipped}",
            }
        )
    return facts


def _mean(values: list[float], digits: int, *, percent: bool = False) -> str:
    if not values:
        return "–"
    found = sum(values) / len(values)
    return f"{found:.0%}" if percent else f"{found:.{digits}f}"
