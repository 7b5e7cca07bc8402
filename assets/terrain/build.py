"""Build the bundled terrain model: the network of an ONNX file as a stock diffusers pipeline, in half precision.

Run as `make assets-terrain`. The file comes with the package adaptive-terrain-diffusion, which is installed for
this and for the test that compares both; the workbench itself needs neither it nor onnx.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "assets" / "pipelines" / "terrain"
ONNX = "weights/terrain_consistency_unet_difficulty100.onnx"
LICENCE = "MIT (Copyright 2024 Youwei Yu; network code Copyright 2023 OpenAI): see licences"
NOTES = (
    "From adaptive-terrain-diffusion 0.4.2: a consistency model of 128 x 128 heightfields in one step. Class labels "
    "0 to 99 stand for difficulty label / 99. Weights were rounded to half precision."
)


def packaged() -> Path:
    """The folder of the installed package, which is never imported: that would need onnxruntime."""
    spec = importlib.util.find_spec("terrain_diffusion")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("adaptive-terrain-diffusion is not installed: see requirements-peers.txt")
    return Path(next(iter(spec.submodule_search_locations)))


def main() -> None:
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    from convert import CONFIG, SCHEDULER, converted
    from diffusers import CMStochasticIterativeScheduler, ConsistencyModelPipeline, UNet2DModel

    from probes.artefacts import Parent, write_manifest
    from probes.files import sha256_of

    unet = UNet2DModel(**CONFIG)
    unet.load_state_dict(converted(packaged() / ONNX))
    source = Parent(ref=f"adaptive-terrain-diffusion 0.4.2, {ONNX}", sha256=sha256_of(packaged() / ONNX))
    shutil.rmtree(TARGET, ignore_errors=True)
    ConsistencyModelPipeline(unet.half(), CMStochasticIterativeScheduler(**SCHEDULER)).save_pretrained(TARGET)
    copy_licences(TARGET / "licences")
    write_manifest(
        TARGET,
        kind="subject",
        name="terrain",
        command="make assets-terrain",
        parents={"weights": source},
        licence=LICENCE,
        notes=NOTES,
    )


def copy_licences(target: Path) -> None:
    """Both texts the package carries."""
    target.mkdir()
    package = packaged()
    shutil.copy(package / "licenses" / "CONSISTENCY_MODELS_LICENSE.txt", target / "consistency-models.txt")
    own = next(package.parent.glob("adaptive_terrain_diffusion-*.dist-info/licenses/LICENSE"))
    shutil.copy(own, target / "adaptive-terrain-diffusion.txt")


if __name__ == "__main__":
    main()
