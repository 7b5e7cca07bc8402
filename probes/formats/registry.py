"""The formats of other people's dictionaries. The first row that recognises what lies at a path reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import WorkbenchError
from probes.formats.files import DEFAULT_BUDGET, Source, refused
from probes.registry import Registry

if TYPE_CHECKING:
    from probes.formats.imported import Imported

FORMATS = Registry(
    "format",
    {
        "saelens": ("probes.formats.saelens:FORMAT", "SAELens 6 and newer: cfg.json and sae_weights.safetensors."),
        "saelens_old": ("probes.formats.saelens_old:FORMAT", "SAELens before 6: the same files, an older config."),
        "sparsify": ("probes.formats.sparsify:FORMAT", "Sparsify: cfg.json and sae.safetensors."),
        "llama_scope": ("probes.formats.llama_scope:FORMAT", "Llama Scope: hyperparams.json and checkpoints/."),
        "sdxl_unbox": ("probes.formats.sdxl_unbox:FORMAT", "SDXL Unbox: config.json and state_dict.pth."),
        "dictionary_learning": ("probes.formats.dictionary_learning:FORMAT", "Dictionary_learning: ae.pt."),
        "gemma_scope": ("probes.formats.gemma_scope:FORMAT", "Gemma Scope: params.npz."),
        "gemma_scope_2": ("probes.formats.gemma_scope_2:FORMAT", "Gemma Scope 2: params.safetensors."),
        "cross_layer": (
            "probes.formats.cross_layer:FORMAT",
            "Cross-layer transcoders of circuit-tracer: W_enc_i and W_dec_i.",
        ),
        "circuit_tracer": (
            "probes.formats.circuit_tracer:FORMAT",
            "Transcoders of circuit-tracer: layer_i.safetensors.",
        ),
        "openai": ("probes.formats.openai:FORMAT", "OpenAI's sparse_autoencoder: one .pt file."),
    },
)

# What a dictionary can be saved for: functions of (dictionary, folder, what is said of it, approximation).
EXPORTS = Registry(
    "format to save in",
    {"saelens": ("probes.formats.export:export_saelens", "SAELens 6 and newer.")},
)


def detect(path: Path | str, *, budget: int = DEFAULT_BUDGET) -> str:
    """The name of the format of what lies at a path, told from file names and tensor keys alone.

    Raises `WorkbenchError` naming what was found when no format fits.
    """
    return _detected(Source.at(path, budget=budget))


def read_dictionary(path: Path | str, *, budget: int = DEFAULT_BUDGET) -> Imported:
    """The dictionary at a path, whatever its format. `budget`: bytes its tensors may take as float32.

    Raises `WorkbenchError`, in one sentence, for everything that can be wrong with it.
    """
    source = Source.at(path, budget=budget)
    try:
        found: Imported = FORMATS.load(_detected(source)).read(source)
    except WorkbenchError:
        raise
    except Exception as error:  # a hostile file may hold anything anywhere: a number where a tensor should be
        raise refused(
            source.name, f"its content is not what its format says ({type(error).__name__}: {error})"
        ) from error
    return found


def _detected(source: Source) -> str:
    found = _recognised(source)
    if found is not None:
        return found
    one = next((name for name in source.names if _recognised(Source(source.folder, source.folder / name))), None)
    if one is not None:
        raise refused(source.name, "it holds several dictionaries", f"Name one of its files, such as {one}.")
    folders = sorted(entry.name for entry in source.folder.iterdir() if entry.is_dir()) if source.file is None else []
    if folders and not source.names:
        shown = ", ".join(folders[:6])
        raise refused(source.name, "no dictionary lies directly in it", f"Name one of its folders: {shown}.")
    seen = ", ".join(source.names[:6]) or "no file"
    raise refused(
        source.name,
        f"no known format has {seen}",
        f"Known: {' '.join(entry.sentence for entry in FORMATS.values())}",
    )


def _recognised(source: Source) -> str | None:
    """The first format that recognises a source."""
    return next((name for name in FORMATS if FORMATS.load(name).recognises(source)), None)
