"""A comparison as the value of a `ComparisonView` or of a `PicturesView`."""

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
