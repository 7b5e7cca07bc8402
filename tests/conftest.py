"""What tests share: a data folder of their own, small random subjects, and the bundled one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Two threads wait for each other at every tiny operation: on a busy machine that is thirty times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

if TYPE_CHECKING:
    from probes.subjects.image_diffusion import ImageDiffusion
    from probes.subjects.text_autoregressive import TextAutoregressive

VOCABULARY = 128
CONTEXT = 64


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several workers share the tests, what shares something dear stays together."""
    from tests.fixtures.workers import InGroups

    return InGroups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A worker's tests come in the order in which they should be begun."""
    if hasattr(config, "workerinput"):
        from tests.fixtures.workers import put_longest_first

        put_longest_first(items)


@pytest.fixture(scope="session", autouse=True)
def data_home(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty data folder for this session, and so for each worker of one. Only converted subjects and compiled loops
    outlive it, in pytest's own cache, which all workers read and write."""
    home = tmp_path_factory.mktemp("home")
    (home / "cache").mkdir()
    for kept in ("subjects", "kernels"):
        (home / "cache" / kept).symlink_to(request.config.cache.mkdir(kept))  # type: ignore[union-attr]
    before = os.environ.get("FULCRUM_HOME")
    os.environ["FULCRUM_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["FULCRUM_HOME"]
    else:
        os.environ["FULCRUM_HOME"] = before


@pytest.fixture(scope="session")
def synthetic_graph(data_home: Path) -> str:
    """The name of a made-up graph with hostile labels, saved in the session's data folder."""
    from probes.artefacts import artefact_path
    from tests.fixtures.graphs import make_graph

    path = artefact_path("graph", "synthetic")
    path.mkdir(parents=True)
    make_graph(seed=1, hostile=True).laid_out().save(path)
    return "synthetic"


def _gpt2(tf: Any, **shared: Any) -> Any:
    return tf.GPT2LMHeadModel(tf.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, **shared))


def _gpt_neox(tf: Any, **shared: Any) -> Any:
    return tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**_DECODER, **shared))


def _llama(tf: Any, **shared: Any) -> Any:
    return tf.LlamaForCausalLM(tf.LlamaConfig(**_DECODER, num_key_value_heads=2, **shared))


def _gemma3(tf: Any, **shared: Any) -> Any:
    narrow = {"head_dim": 8, "num_key_value_heads": 2, "sliding_window": 8}
    return tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**_DECODER, **narrow, **shared))


def _qwen2(tf: Any, **shared: Any) -> Any:
    return tf.Qwen2ForCausalLM(tf.Qwen2Config(**_DECODER, num_key_value_heads=2, **shared))


def _qwen3(tf: Any, **shared: Any) -> Any:
    return tf.Qwen3ForCausalLM(tf.Qwen3Config(**_DECODER, num_key_value_heads=2, head_dim=8, **shared))


def _mamba(tf: Any, **shared: Any) -> Any:
    return tf.MambaForCausalLM(tf.MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=8, **shared))


_DECODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": CONTEXT,
}
FAMILIES: dict[str, Callable[..., Any]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
    "gemma3": _gemma3,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "mamba": _mamba,
}


def tiny_model(name: str) -> Any:
    """A small language model of one family with random weights, the same at every call, in float32.

    Weights are drawn wide, so that blocks matter beside the residual stream and greedy text varies.
    """
    import torch
    import transformers

    shared = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    with torch.random.fork_rng():
        torch.manual_seed(len(name))
        model = FAMILIES[name](transformers, **shared, initializer_range=0.2)
    return model.float().eval().requires_grad_(False)


@pytest.fixture(scope="session", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """(name, model) of each family in turn."""
    return request.param, tiny_model(request.param)


@pytest.fixture(scope="session")
def tiny_subject() -> TextAutoregressive:
    """One small random subject, for tests that need no particular family."""
    from probes.subjects.text_autoregressive import TextAutoregressive

    return TextAutoregressive(tiny_model("llama"), None, name="llama")


@pytest.fixture(scope="session")
def smollm2(data_home: Path) -> TextAutoregressive:
    """The bundled language model in float32. FULCRUM_REQUIRE_MODELS=1 makes its absence a failure."""
    from probes.errors import WorkbenchError
    from probes.subjects.loading import load_subject
    from probes.subjects.text_autoregressive import TextAutoregressive

    try:
        return load_subject("bundled/smollm2-135m", of=TextAutoregressive, dtype="float32")
    except WorkbenchError as error:
        if error.code != "model-package-missing" or os.environ.get("FULCRUM_REQUIRE_MODELS") == "1":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=[*FAMILIES, pytest.param("smollm2", marks=pytest.mark.model)])
def subject(request: pytest.FixtureRequest) -> TextAutoregressive:
    """Every family as a subject, and the bundled language model."""
    from probes.subjects.text_autoregressive import TextAutoregressive

    if request.param == "smollm2":
        return request.getfixturevalue("smollm2")
    return TextAutoregressive(tiny_model(request.param), None, name=request.param)


PIPELINES = ("sd", "sdxl", "sd3", "flux", "pixart", "dit", "wan")


@pytest.fixture(scope="session")
def pipeline_subjects() -> Callable[[str], ImageDiffusion]:
    """One small subject per family of diffusers pipelines, each built when it is first asked for."""
    from functools import cache

    from tests.fixtures.pipelines import FAMILIES, subject_of

    return cache(lambda name: subject_of(FAMILIES[name].build, name))


@pytest.fixture(params=PIPELINES)
def pipeline_family(request: pytest.FixtureRequest, pipeline_subjects: Any) -> tuple[ImageDiffusion, Any]:
    """(subject, what is known of it) of each family of pipelines in turn."""
    from tests.fixtures.pipelines import FAMILIES

    return pipeline_subjects(request.param), FAMILIES[request.param]


@pytest.fixture
def tiny_pictures(pipeline_subjects: Any) -> ImageDiffusion:
    """A small random pipeline that reads prompts, for tests that need no particular family."""
    return pipeline_subjects("sd")
