"""What a tokenizer says about itself: special ids, beginning of text, padding, pieces as raw bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class TokenizerFacts:
    """Facts read from a tokenizer, never guessed. Token id 0 is a token like any other."""

    special_ids: frozenset[int]
    bos_id: int | None
    pad_id: int | None
    adds_bos: bool
    vocabulary: int
    eos_id: int | None = None
    byte_level: bool = False
    pieces_of: Any = field(default=None, repr=False, compare=False)
    has_chat_template: bool = False

    @classmethod
    def read(cls, tokenizer: Any) -> TokenizerFacts:
        special = frozenset(int(i) for i in tokenizer.all_special_ids)
        probe = tokenizer("a", add_special_tokens=True).input_ids
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        decoder = "{}"
        if getattr(tokenizer, "backend_tokenizer", None) is not None:
            decoder = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder") or {})
        return cls(
            special_ids=special,
            bos_id=tokenizer.bos_token_id,
            pad_id=pad,
            adds_bos=bool(probe) and probe[0] in special,
            vocabulary=len(tokenizer),
            eos_id=tokenizer.eos_token_id,
            byte_level="ByteLevel" in decoder,
            pieces_of=tokenizer,
            has_chat_template=bool(getattr(tokenizer, "chat_template", None)),
        )

    @classmethod
    def absent(cls, model: Any) -> TokenizerFacts:
        """For a model without a tokenizer: ids are shown as numbers, nothing is special."""
        return cls(frozenset(), None, None, False, int(model.config.get_text_config().vocab_size))

    def piece(self, token_id: int) -> str:
        """One token as the text it stands for; bytes that are no character on their own as ⟨0xE2⟩."""
        if self.pieces_of is None:
            return f"⟨{token_id}⟩"
        raw = self.pieces_of.convert_ids_to_tokens(int(token_id))
        if raw is None:
            return f"⟨{token_id}⟩"
        if token_id in self.special_ids:
            return raw
        return _show_bytes(_raw_bytes(raw, self.byte_level))

    def pieces(self, token_ids: Any) -> list[str]:
        return [self.piece(int(i)) for i in token_ids]


def _raw_bytes(token: str, byte_level: bool) -> bytes:
    if byte_level:
        table = _byte_of_character()
        return b"".join(bytes([table[c]]) if c in table else c.encode() for c in token)
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("\u2581", " ").encode()


def _show_bytes(raw: bytes) -> str:
    """UTF-8 where it decodes, the leftover bytes written out."""
    shown, at = [], 0
    while at < len(raw):
        try:
            shown.append(raw[at:].decode())
            break
        except UnicodeDecodeError as error:
            shown.append(raw[at : at + error.start].decode())
            shown.append("".join(f"⟨0x{byte:02X}⟩" for byte in raw[at + error.start : at + max(error.end, 1)]))
            at += max(error.end, 1)
    return "".join(shown)


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """The byte each printable stand-in of byte-level BPE means: printable Latin-1 bytes stand for
    themselves, the 68 others for the characters from U+0100 upward, in order."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(0x100 + at): byte for at, byte in enumerate(rest)}
