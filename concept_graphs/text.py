"""Strings from models, files and people, made fit to be shown: nothing hidden, nothing interpreted."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any

CAP = 80
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and marks that draw nothing although their category says otherwise.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def _shown(char: str) -> str:
    if char == "\n":
        return "↵"
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that did not decode, as surrogateescape keeps it
        return f"⟨0x{code - 0xDC00:02X}⟩"
    category = unicodedata.category(char)
    if category in _HIDDEN or char in _BLANK or (category == "Zs" and char != " "):
        return f"⟨U+{code:04X}⟩"
    return char


def visible(text: str) -> str:
    """The text with newlines as ↵ and every control, bidi, zero-width or undecoded character spelled out."""
    return "".join(map(_shown, text))


def visible_token(token: str) -> str:
    """One token as a chip shows it: like `visible`, spaces at its edges as ␣, a byte piece as ⟨0xE2⟩."""
    byte = _BYTE_PIECE.fullmatch(token)
    if byte:
        return f"⟨0x{byte[1].upper()}⟩"
    inner = token.strip(" ")
    if not inner:
        return "␣" * len(token)
    start = len(token) - len(token.lstrip(" "))
    end = len(token) - len(token.rstrip(" "))
    return "␣" * start + visible(inner) + "␣" * end


def shortened(text: str, cap: int) -> str:
    """At most `cap` characters; a cut is marked by an ellipsis."""
    return text if len(text) <= cap else text[: cap - 1].rstrip() + "…"


def esc_plotly(text: object, cap: int = CAP) -> str:
    """A string that plotly shows literally: made visible, cut to `cap` characters, entities escaped.

    Every string that enters a figure and is not a constant of this package passes through here.
    """
    # Plotly decodes no &quot;, and a quote is harmless once nothing can open a tag.
    return html.escape(shortened(visible(str(text)), cap), quote=False)


def number(value: float | None, digits: int = 2) -> str:
    """A number for people: fixed digits, a real minus sign, "unknown" for null; tiny ones in powers of ten."""
    if value is None:
        return "unknown"
    if value != 0 and abs(value) < 0.5 * 10**-digits:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:,.{digits}f}".replace("-", "−")


def percent(share: float | None, digits: int = 2) -> str:
    """A share in percent; a dash for an unknown one."""
    return "–" if share is None else f"{share:.{digits}%}"


def with_interval(value: float | None, low: float | None, high: float | None, digits: int = 2) -> str:
    """A number with its interval, as in 0.42 [0.31, 0.55]; without one when there is none."""
    if value is None or low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def in_words(value: Any) -> str:
    """One value of a figure or a setting in words; three fractions and a count are a value, its interval and n."""
    if isinstance(value, list) and len(value) == 4 and all(type(part) is float for part in value[:3]):
        return f"{_short(value[0])} [{_short(value[1])}, {_short(value[2])}], n {int(value[3]):,}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else _short(value)
    if isinstance(value, dict):
        return "; ".join(f"{name} {in_words(part)}" for name, part in value.items())
    return (", ".join(map(in_words, value)) if isinstance(value, list) else value) or "–"


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
