from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concept_graphs.text import esc_plotly, in_words, visible, visible_token

ANY = st.text(st.characters(), max_size=200)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (" the", "␣the"),
        ("the ", "the␣"),
        ("in a", "in a"),
        ("   ", "␣␣␣"),
        ("", ""),
        ("\n", "↵"),
        (".\n\n", ".↵↵"),
        ("\t", "⟨U+0009⟩"),
        ("\x00", "⟨U+0000⟩"),
        ("\u202e", "⟨U+202E⟩"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\u00a0", "⟨U+00A0⟩"),
        ("\ufeffx", "⟨U+FEFF⟩x"),
        ("\u2028", "⟨U+2028⟩"),
        ("<0xE2>", "⟨0xE2⟩"),
        ("<0xe2>", "⟨0xE2⟩"),
        (b"\xe2\x82".decode("utf-8", "surrogateescape"), "⟨0xE2⟩⟨0x82⟩"),
        ("<|endoftext|>", "<|endoftext|>"),
        ("naïve 鯨 🐋", "naïve 鯨 🐋"),
    ],
)
def test_a_token_shows_what_it_holds(raw: str, shown: str) -> None:
    assert visible_token(raw) == shown


@given(ANY)
def test_nothing_hidden_remains(text: str) -> None:
    for shown in (visible(text), visible_token(text), esc_plotly(text)):
        for char in shown:
            assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        shown.encode("utf-8")


@given(ANY)
def test_plotly_strings_hold_no_markup_and_read_back_literally(text: str) -> None:
    escaped = esc_plotly(text, cap=10_000)
    assert not set(escaped) & set("<>")
    assert html.unescape(escaped) == visible(text)


@given(ANY)
def test_plotly_strings_are_capped_before_they_are_escaped(text: str) -> None:
    assert len(html.unescape(esc_plotly(text))) <= 80
    assert len(html.unescape(esc_plotly(text, cap=12))) <= 12


def test_a_cut_is_marked() -> None:
    assert esc_plotly("x" * 81).endswith("…")
    assert esc_plotly("&" * 80) == "&amp;" * 80


@given(st.text(st.sampled_from(" ab"), max_size=12))
def test_spaces_are_marked_only_at_the_edges(token: str) -> None:
    shown = visible_token(token)
    assert shown.replace("␣", " ") == token
    assert shown == shown.strip(" ")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.9176704, 1.7405239, 2.1022621, 1018], "1.918 [1.741, 2.102], n 1,018"),
        ([0, 1, 2, 3], "0, 1, 2, 3"),  # seeds, say: no value with an interval
        (-0.00012345, "−0.0001234"),
        (3072, "3,072"),
        (True, "yes"),
        (None, "–"),
        ({"low": 1, "high": 2.5}, "low 1; high 2.5"),
    ],
)
def test_figures_are_said_in_words(value: object, said: str) -> None:
    assert in_words(value) == said
