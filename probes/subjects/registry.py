"""The kinds of subject. Each row opens references of its kind; the first that recognises one is asked."""

from __future__ import annotations

from typing import Any, Protocol

from probes.registry import Registry


class Opener(Protocol):
    """Opens subjects of one kind. Its module imports no torch, so that asking costs nothing."""

    def recognises(self, ref: str, *, offline: bool = True) -> bool:
        """Whether a reference is of this kind, told from the reference and the files it names. Only where
        `offline` is false may a hub be asked."""
        ...

    def open(self, ref: str, *, dtype: str, device: str, offline: bool) -> Any:
        """The subject, frozen. Raises `WorkbenchError` for everything that can be wrong with it."""
        ...


SUBJECTS = Registry(
    "kind of subject",
    {
        "module": (
            "probes.subjects.offered:OfferedModules",
            "Any torch module that this process was given, as module/<name>.",
        ),
        "image_diffusion": (
            "probes.subjects.open_diffusion:DiffusionFiles",
            "A diffusers pipeline: bundled, a pipeline folder, or a hub id.",
        ),
        "text_autoregressive": (
            "probes.subjects.open_text:TextFiles",
            "A causal language model: bundled, a model folder, a GGUF file, or a hub id.",
        ),
    },
)
