"""Opening a diffusers pipeline by name: bundled, a local folder, or (if allowed) a hub id. Nothing of it is run
that diffusers or transformers do not bring themselves, and no weights are unpickled."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.artefacts import BUNDLED, read_manifest
from probes.errors import WorkbenchError, first_line
from probes.files import read_json
from probes.subjects.quiet import without_bars

if TYPE_CHECKING:
    from probes.subjects.image_diffusion import ImageDiffusion

INDEX = "model_index.json"
PARTS = ("unet", "transformer", "vae", "scheduler")
PIPELINES = BUNDLED / "pipelines"
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_PLAIN = re.compile(r"(?:diffusion_pytorch_model|model)(?:-\d+-of-\d+)?\.safetensors")
_VARIANT = re.compile(r"(?:diffusion_pytorch_model|model)\.fp16(?:-\d+-of-\d+)?\.safetensors")


def shipped() -> list[str]:
    """The pipelines that come with the workbench and read prompts."""
    found = [path for path in PIPELINES.glob(f"*/{INDEX}") if "tokenizer" in _object(path)]
    return sorted(f"bundled/{path.parent.name}" for path in found)


class DiffusionFiles:
    """Opens `bundled/<pipeline>`, a folder in diffusers' own layout, or a hub id (which needs `offline=False`
    unless it was fetched before)."""

    def recognises(self, ref: str, *, offline: bool = True) -> bool:
        """Folders that are, or look like, a pipeline; hub ids whose repository has a model index."""
        if ref.startswith("bundled/"):
            return (PIPELINES / ref.removeprefix("bundled/") / INDEX).is_file()
        folder = Path(ref).expanduser()
        if folder.is_dir():
            if (folder / "config.json").is_file():
                return _is_part(folder)
            return (folder / INDEX).is_file() or any((folder / part).is_dir() for part in PARTS)
        return _is_hub_id(ref) and (_cached(ref) is not None or (not offline and _on_hub(ref)))

    def open(self, ref: str, *, dtype: str, device: str, offline: bool) -> ImageDiffusion:
        """`dtype` auto is float32 on a processor, bfloat16 elsewhere."""
        keep_quiet()
        folder = self._folder(ref, offline)
        _check_index(folder, ref)
        import torch
        from diffusers import DiffusionPipeline

        from probes.subjects.image_diffusion import ImageDiffusion

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        chosen = ("float32" if device == "cpu" else "bfloat16") if dtype == "auto" else dtype
        variant = _variant(folder)
        _ensure_memory(folder, ref, device, chosen, variant)
        try:
            with without_bars("diffusers", "transformers"):
                pipeline = DiffusionPipeline.from_pretrained(
                    str(folder),
                    dtype=getattr(torch, chosen),
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                    variant=variant,
                )
        except (OSError, ValueError, KeyError, AttributeError, ImportError, TypeError) as error:
            raise WorkbenchError(
                "no-pipeline",
                f"{ref} could not be loaded as a pipeline",
                first_line(error),
                "Save it again with save_pretrained(safe_serialization=True).",
            ) from error
        return ImageDiffusion(pipeline.to(device), name=ref, guidance=_recorded_guidance(folder))

    def _folder(self, ref: str, offline: bool) -> Path:
        if ref.startswith("bundled/"):
            return PIPELINES / ref.removeprefix("bundled/")
        folder = Path(ref).expanduser()
        if folder.is_dir():
            return folder
        return _fetched(ref, offline)


def _recorded_guidance(folder: Path) -> float | None:
    """The figure `guidance` of a pipeline's manifest: the scale its makers found best. A manifest.json of somebody
    else says nothing."""
    try:
        manifest = read_manifest(folder)
    except WorkbenchError:
        return None
    found = manifest.figures.get("guidance") if manifest.kind == "subject" else None
    if not isinstance(found, (int, float)) or isinstance(found, bool) or not 0 <= found < math.inf:
        return None
    return float(found)


def keep_quiet() -> None:
    """Leave out transformers' advice to install torchvision: what it falls back to does the same with Pillow."""
    logger = logging.getLogger("transformers.utils.import_utils")
    if _unwanted not in logger.filters:
        logger.addFilter(_unwanted)


def _unwanted(record: logging.LogRecord) -> bool:
    return "requires torchvision" not in record.getMessage()


def _is_hub_id(ref: str) -> bool:
    return re.fullmatch(r"[\w-]+(?:\.[\w-]+)*/[\w-]+(?:\.[\w-]+)*", ref) is not None and not ref.startswith("module/")


def _is_part(folder: Path) -> bool:
    """Whether a folder is a single part of a pipeline, as diffusers saves one."""
    try:
        return "_diffusers_version" in _object(folder / "config.json")
    except WorkbenchError:
        return False


def _cached(ref: str) -> str | None:
    """The model index of a hub repository that was fetched before."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(ref, INDEX)
    return found if isinstance(found, str) else None


def _on_hub(ref: str) -> bool:
    """Whether a repository that the user named has a model index."""
    from huggingface_hub import file_exists

    try:
        return bool(file_exists(ref, INDEX))
    except (OSError, ValueError):
        return False


def _fetched(ref: str, offline: bool) -> Path:
    """The local copy of a hub pipeline; its index is read before anything else of it is fetched."""
    from diffusers import DiffusionPipeline
    from huggingface_hub import hf_hub_download

    try:
        index = hf_hub_download(ref, INDEX, local_files_only=offline)
        _check_index(Path(index).parent, ref)
        return Path(
            DiffusionPipeline.download(ref, local_files_only=offline, use_safetensors=True, trust_remote_code=False)
        )
    except (OSError, ValueError) as error:
        raise WorkbenchError(
            "no-subject",
            f"{ref} could not be fetched",
            first_line(error),
            "Check the name and the connection, or name a local folder.",
        ) from error


def _check_index(folder: Path, ref: str) -> None:
    """Raises `WorkbenchError` for a folder without a pipeline's index and for a pipeline that brings its own code."""
    if not (folder / INDEX).is_file():
        raise WorkbenchError(
            "no-pipeline",
            f"{ref} is no pipeline folder",
            f"{INDEX} is missing",
            "Name the folder that save_pretrained of the whole pipeline wrote.",
        )
    index = _object(folder / INDEX)
    import diffusers
    import diffusers.pipelines

    name = index.get("_class_name")
    known = {"diffusers", "transformers"}
    libraries = {part: value[0] for part, value in index.items() if _names_a_class(value) and part != "_class_name"}
    foreign = [
        f"{part} from {library}"
        for part, library in libraries.items()
        if library not in known and not hasattr(diffusers.pipelines, library)
    ]
    if not isinstance(name, str) or not hasattr(diffusers, name):
        foreign.insert(0, f"the pipeline class {name!r}")
    mapped = (path for path in folder.glob("*/*config.json") if "auto_map" in _object(path))
    foreign += [f"auto_map in {path.relative_to(folder).as_posix()}" for path in sorted(mapped)]
    if foreign or any(folder.glob("*/*.py")) or any(folder.glob("*.py")):
        raise WorkbenchError(
            "remote-code",
            f"{ref} wants to run its own code",
            f"it brings {', '.join(foreign) or 'Python files'}",
            "Use a pipeline whose classes are part of diffusers and transformers.",
        )


def _names_a_class(value: Any) -> bool:
    """Whether an entry of an index is a part: (library, class). Parts left out have neither."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(name, str) for name in value)


def _object(path: Path) -> dict[str, Any]:
    """A JSON file that must hold an object. Schedulers of diffusers write infinities into theirs."""
    found: Any = read_json(path, limit=2**20, finite=False)
    if not isinstance(found, dict):
        raise WorkbenchError("no-pipeline", f"{path} is not usable", "it holds no JSON object", "Save it again.")
    return found


def _weights(folder: Path, name: re.Pattern[str]) -> list[Path]:
    return [path for path in sorted(folder.glob("*/*.safetensors")) if name.fullmatch(path.name)]


def _variant(folder: Path) -> str | None:
    """`fp16` for a folder that holds its weights in that variant only."""
    return "fp16" if _weights(folder, _VARIANT) and not _weights(folder, _PLAIN) else None


def _ensure_memory(folder: Path, ref: str, device: str, dtype: str, variant: str | None) -> None:
    """Raises `WorkbenchError` where the weights alone would not fit, added up from the files' headers."""
    from probes.tensors import tensor_header

    files = _weights(folder, _VARIANT if variant else _PLAIN)
    sizes = (math.prod(row["shape"]) for path in files for row in tensor_header(path).values())
    needed, there = BYTES[dtype] * sum(sizes), _free_memory(device)
    if needed > there:
        raise WorkbenchError(
            "too-little-memory",
            f"{ref} does not fit into memory",
            f"its weights take {needed / 2**30:.1f} GiB in {dtype} and {there / 2**30:.1f} GiB are free on {device}",
            "Load it in a narrower number type, or use a smaller pipeline.",
        )


def _free_memory(device: str) -> int:
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)
