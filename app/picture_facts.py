"""The figures of a comparison of pictures in words for people: the same on the Steer page and in a report."""

from __future__ import annotations

from typing import Any


def evidence_value(data: dict[str, Any]) -> dict[str, Any]:
    """The figures and controls of a comparison; `data` is the JSON of a `steering.comparison.PictureComparison`."""
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
