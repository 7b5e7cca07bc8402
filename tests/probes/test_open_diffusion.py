"""Pipelines from folders and hubs, and everything that makes one unusable, each said in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelerate
import diffusers
import huggingface_hub
import pytest
import torch
from torch import nn

from probes.artefacts import write_manifest
from probes.errors import WorkbenchError
from probes.hooks import Edit, HookPoint, Selector, hooked, keep
from probes.provenance import ROOT
from probes.subjects import open_diffusion
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.loading import load_subject
from probes.subjects.open_diffusion import DiffusionFiles
from probes.subjects.pipeline_checks import refuse_exchanged
from tests.fixtures.pipelines import FAMILIES, prompted, stable_diffusion, subject_of


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, pipeline_subjects: Any) -> Path:
    """The small pipeline that reads prompts, as a folder."""
    folder = tmp_path_factory.mktemp("pipelines") / "tiny"
    pipeline_subjects("sd").pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    """A copy of that folder to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "spoiled"))


def change_index(folder: Path, **values: Any) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | values))


def opened(ref: Any) -> ImageDiffusion:
    return load_subject(str(ref), of=ImageDiffusion)


# -- opening -------------------------------------------------------------------------------------------


def test_opening_draws_no_bars_of_other_libraries_and_leaves_theirs_on(
    saved: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import transformers

    logs = [diffusers.utils.logging, transformers.utils.logging]
    for log in logs:
        log.enable_progress_bar()
    opened(saved)
    assert capfd.readouterr().err == "" and all(log.is_progress_bar_enabled() for log in logs)


def test_a_saved_pipeline_makes_the_same_pictures(saved: Path, tiny_pictures: ImageDiffusion) -> None:
    inputs = prompted("a red dot", seeds=(3,))
    subject = opened(saved)
    assert torch.equal(subject.generate(inputs).images, tiny_pictures.generate(inputs).images)
    assert subject.name == str(saved) and not any(part.requires_grad for part in subject.root.parameters())
    half = load_subject(str(saved), of=ImageDiffusion, dtype="bfloat16")
    assert next(half.root.parameters()).dtype == torch.bfloat16


def test_the_guidance_a_manifest_records_is_taken_unless_another_is_asked_for(saved: Path, copied: Path) -> None:
    write_manifest(copied, kind="subject", name="tiny", figures={"guidance": 3.5})
    plain, recorded = opened(saved), opened(copied)
    silent, asked = (prompted("a red dot", seeds=(3,), guidance=scale) for scale in (None, 3.5))
    assert torch.equal(recorded.generate(silent).images, plain.generate(asked).images)
    assert not torch.equal(plain.generate(silent).images, plain.generate(asked).images)
    one = prompted("a red dot", seeds=(3,), guidance=1.5)
    assert torch.equal(recorded.generate(one).images, plain.generate(one).images)
    in_extra = prompted("a red dot", seeds=(3,), guidance=None, extra={"guidance_scale": 1.5})
    assert torch.equal(recorded.generate(in_extra).images, plain.generate(one).images)
    scales = [subject.guidance_of(inputs) for subject in (plain, recorded) for inputs in (silent, one, in_extra)]
    assert scales == [7.5, 1.5, 1.5, 3.5, 1.5, 1.5]  # diffusers' own default is 7.5


@pytest.mark.parametrize(
    "content", ["[]", '{"version": 3}', '{"kind": "probe", "name": "x", "figures": {"guidance": 2}}']
)
def test_a_manifest_that_is_not_a_pipelines_says_nothing_of_guidance(copied: Path, content: str) -> None:
    (copied / "manifest.json").write_text(content)
    assert opened(copied).guidance_of(prompted("a red dot", guidance=None)) == 7.5


def test_opening_a_pipeline_gives_no_advice_and_warns_of_nothing() -> None:
    opening = "from probes.subjects.loading import load_subject; load_subject('bundled/emoji')"
    done = subprocess.run([sys.executable, "-W", "always", "-c", opening], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert not [word for word in ("torchvision", "FutureWarning", "deprecated") if word in done.stderr], done.stderr


def test_lists_in_an_index_that_name_no_class_are_no_parts(copied: Path) -> None:
    change_index(copied, safety_checker=[None, None], layers=[9, 18], empty=[])
    assert opened(copied).name == str(copied)


@pytest.mark.parametrize("kind", [diffusers.DPMSolverMultistepScheduler, diffusers.DPMSolverSinglestepScheduler])
def test_schedulers_whose_config_holds_an_infinity_are_opened(copied: Path, kind: Any) -> None:
    """DPM-Solver and its kin write -Infinity, which JSON does not know."""
    shutil.rmtree(copied / "scheduler")
    kind().save_pretrained(copied / "scheduler")
    assert "Infinity" in (copied / "scheduler" / "scheduler_config.json").read_text()
    change_index(copied, scheduler=["diffusers", kind.__name__])
    assert type(opened(copied).pipeline.scheduler) is kind


def test_bundled_pipelines_are_found_by_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_diffusion, "PIPELINES", saved.parent)
    assert opened("bundled/tiny").name == "bundled/tiny"
    with pytest.raises(WorkbenchError, match="No bundled subject"):
        opened("bundled/other")


def test_a_folder_with_half_precision_weights_alone_is_opened(copied: Path, tiny_pictures: ImageDiffusion) -> None:
    for path in copied.glob("*/*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    inputs = prompted("a red dot", seeds=(3,))
    assert torch.equal(opened(copied).generate(inputs).images, tiny_pictures.generate(inputs).images)


def spoiled(folder: Path, name: str) -> None:
    """Makes a folder unusable in one way."""
    match name:
        case "no index":
            (folder / "model_index.json").unlink()
        case "broken index":
            (folder / "model_index.json").write_text("{")
        case "index is a list":
            (folder / "model_index.json").write_text("[]")
        case "own pipeline class":
            change_index(folder, _class_name=["pipeline", "Mine"])
        case "unknown pipeline class":
            change_index(folder, _class_name="NoSuchPipeline")
        case "part from elsewhere":
            change_index(folder, unet=["my_unet", "Mine"])
        case "code beside a part":
            (folder / "unet" / "my_unet.py").write_text("raise SystemExit('run')")
        case "a part maps its own class":
            config = folder / "text_encoder" / "config.json"
            config.write_text(json.dumps(json.loads(config.read_text()) | {"auto_map": {"AutoModel": "mine.Model"}}))
        case "pickled weights":
            (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
            torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
        case "cut weights":
            file = folder / "unet" / "diffusion_pytorch_model.safetensors"
            file.write_bytes(file.read_bytes()[:2000])
        case "a part is missing":
            shutil.rmtree(folder / "unet")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no index", "no-pipeline"),
        ("broken index", ""),
        ("index is a list", "no-pipeline"),
        ("own pipeline class", "remote-code"),
        ("unknown pipeline class", "remote-code"),
        ("part from elsewhere", "remote-code"),
        ("code beside a part", "remote-code"),
        ("a part maps its own class", "remote-code"),
        ("pickled weights", "no-pipeline"),
        ("cut weights", ""),
        ("a part is missing", "no-pipeline"),
    ],
)
def test_an_unusable_folder_is_refused_in_a_sentence(copied: Path, name: str, code: str) -> None:
    spoiled(copied, name)
    with pytest.raises(WorkbenchError) as refused:
        opened(copied)
    assert refused.value.code == (code or refused.value.code) and refused.value.how


def test_a_single_part_of_a_pipeline_is_told_from_a_language_model(saved: Path) -> None:
    with pytest.raises(WorkbenchError, match="whole pipeline"):
        opened(saved / "unet")


def test_too_little_memory_is_noticed_before_anything_is_loaded(
    saved: Path, monkeypatch: pytest.MonkeyPatch, tiny_pictures: ImageDiffusion
) -> None:
    parts = [part for part in tiny_pictures.pipeline.components.values() if isinstance(part, nn.Module)]
    needed = 4 * sum(weight.numel() for part in parts for weight in part.state_dict().values())
    loaded: list[Any] = []
    monkeypatch.setattr("diffusers.DiffusionPipeline.from_pretrained", lambda *a, **k: loaded.append(a))
    monkeypatch.setattr(open_diffusion, "_free_memory", lambda device: needed // 2)
    with pytest.raises(WorkbenchError, match="does not fit into memory"):
        opened(saved)
    assert not loaded
    monkeypatch.setattr(open_diffusion, "_free_memory", lambda device: needed - 100)  # headers say it to the byte
    with pytest.raises(WorkbenchError, match="does not fit into memory"):
        opened(saved)


# -- hubs ----------------------------------------------------------------------------------------------


def test_a_hub_is_asked_only_about_ids_and_only_when_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def exists(ref: str, file: str) -> bool:
        asked.append(f"{ref}/{file}")
        return ref == "owner/pictures"

    monkeypatch.setattr(huggingface_hub, "file_exists", exists)
    files = DiffusionFiles()
    for ref in ("owner/pictures", "owner/words", "./owner/pictures", str(tmp_path), "bundled/x", "name"):
        assert not files.recognises(ref)
    assert asked == []
    assert files.recognises("owner/pictures", offline=False)
    assert not files.recognises("owner/words", offline=False)
    assert not files.recognises("../owner", offline=False)
    assert asked == ["owner/pictures/model_index.json", "owner/words/model_index.json"]


def test_the_index_of_a_hub_pipeline_is_checked_before_anything_else_is_fetched(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Any] = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda ref, file, **_: str(copied / file))
    monkeypatch.setattr("diffusers.DiffusionPipeline.download", lambda ref, **_: fetched.append(ref) or str(copied))
    subject = DiffusionFiles().open("owner/pictures", dtype="auto", device="cpu", offline=False)
    assert fetched == ["owner/pictures"] and subject.name == "owner/pictures"
    spoiled(copied, "part from elsewhere")
    with pytest.raises(WorkbenchError, match="own code"):
        DiffusionFiles().open("owner/pictures", dtype="auto", device="cpu", offline=False)
    assert len(fetched) == 1


def test_an_unreachable_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("no connection\nand a long trace")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(WorkbenchError, match="could not be fetched: no connection"):
        DiffusionFiles().open("owner/pictures", dtype="auto", device="cpu", offline=False)


# -- before hooks are placed -----------------------------------------------------------------------------


def compiled_root(subject: ImageDiffusion) -> Callable[[], None]:
    subject.root.compile(backend="eager")

    def undo() -> None:
        subject.root._compiled_call_impl = None

    return undo


def compiled_copy(subject: ImageDiffusion) -> Callable[[], None]:
    before = subject.root
    subject.pipeline.unet = torch.compile(before, backend="eager")
    return lambda: setattr(subject.pipeline, "unet", before)


def fused(subject: ImageDiffusion) -> Callable[[], None]:
    subject.root.fuse_qkv_projections()
    return subject.root.unfuse_qkv_projections


def in_training(subject: ImageDiffusion) -> Callable[[], None]:
    subject.root.train()
    return subject.root.eval


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (compiled_root, "compiled-root"),
        (compiled_copy, "compiled-root"),
        (fused, "fused-projections"),
        (in_training, "training-mode"),
    ],
)
def test_what_would_make_hooks_lie_is_refused_and_mended(
    spoil: Callable[[ImageDiffusion], Callable[[], None]], code: str
) -> None:
    subject, inputs = subject_of(stable_diffusion), prompted("a dot", steps=1)
    point = HookPoint(path=f"{subject.known_points()[0].path}.transformer_blocks.0.attn1.to_q")
    mend = spoil(subject)
    with pytest.raises(WorkbenchError) as refused, hooked(subject, {point: keep}):
        subject.run(inputs)
    assert refused.value.code == code
    mend()
    assert len(subject.activations(inputs, {point: keep})[point]) == 1


def test_whole_blocks_may_be_hooked_while_projections_are_fused() -> None:
    subject, inputs = subject_of(stable_diffusion), prompted("a dot", steps=1)
    subject.root.fuse_qkv_projections()
    plain, point = subject.generate(inputs).images, subject.known_points()[0]
    with hooked(subject, write=[Edit(point, Selector(), lambda x, where: torch.ones_like(x))]):
        assert not torch.equal(subject.generate(inputs).images, plain)


def test_projections_of_two_streams_are_refused_while_they_are_fused() -> None:
    subject, inputs = subject_of(FAMILIES["flux"].build), FAMILIES["flux"].inputs()
    point = HookPoint(path="transformer_blocks.0.attn.add_k_proj")
    subject.root.fuse_qkv_projections()
    with pytest.raises(WorkbenchError, match="fused into one"), hooked(subject, {point: keep}):
        subject.run(inputs)
    subject.root.unfuse_qkv_projections()
    assert len(subject.activations(inputs, {point: keep})[point]) == 4


def test_a_block_cache_is_refused_until_it_is_disabled() -> None:
    from diffusers import FirstBlockCacheConfig

    subject, family = subject_of(FAMILIES["flux"].build), FAMILIES["flux"]
    plain, point = subject.generate(family.inputs()).images, subject.known_points()[0]
    subject.root.enable_cache(FirstBlockCacheConfig(threshold=0.1))
    with pytest.raises(WorkbenchError, match="block cache"), hooked(subject, {point: keep}):
        subject.run(family.inputs())
    subject.root.disable_cache()
    assert len(subject.activations(family.inputs(), {point: keep})[point]) == 4
    assert torch.equal(subject.generate(family.inputs()).images, plain)


def test_an_exchanged_denoiser_is_noticed(tiny_pictures: ImageDiffusion) -> None:
    other = subject_of(stable_diffusion).root
    with pytest.raises(WorkbenchError, match="another one now"):
        refuse_exchanged(tiny_pictures.pipeline, tiny_pictures.root, other)


def test_offloaded_weights_change_nothing_about_hooks() -> None:
    subject, inputs = subject_of(stable_diffusion), prompted("a dot", steps=2)
    plain, points = subject.generate(inputs).images, subject.known_points()
    accelerate.cpu_offload(subject.root, execution_device="cpu")
    assert next(subject.root.parameters()).device.type == "meta"
    with hooked(subject, write=[Edit(point, Selector(), lambda x, where: 0 * x) for point in points]):
        assert torch.equal(subject.generate(inputs).images, plain)


class _Strange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 3, 1))


class _Pipeline:
    def __init__(self, **components: Any) -> None:
        self.components = components
        vars(self).update(components)

    def set_progress_bar_config(self, **_: Any) -> None: ...


def test_a_denoiser_without_known_points_offers_its_modules() -> None:
    subject = ImageDiffusion(_Pipeline(unet=_Strange()), name="strange")
    with pytest.raises(WorkbenchError, match=r"stem \(Conv2d\), body \(Sequential\), body\.0 \(ReLU\)"):
        subject.known_points()


def test_a_pipeline_without_a_denoiser_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="no denoiser"):
        ImageDiffusion(_Pipeline(vae=_Strange()), name="strange")
