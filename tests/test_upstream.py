"""The room for differences between releases: found by feature, guarded, and never a wrong result."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from families import FAMILIES, inputs, ours_only

from longsum_lib.attention.engine.kernels import choose as kernels
from longsum_lib.attention.engine.kernels import fused_cpu
from longsum_lib.attention.sliding_window.attention import sliding_window_attention
from longsum_lib.errors import VersionError
from longsum_lib.models.core import cache as cache_module
from longsum_lib.models.core import few_rows
from longsum_lib.models.longt5.model import LongT5ForConditionalGeneration
from longsum_lib.upstream import TESTED, supported
from longsum_lib.upstream import torch as upstream_torch
from longsum_lib.upstream import transformers as upstream

LIBRARY = Path(upstream.__file__).resolve().parent.parent
ROOM = LIBRARY / "upstream"


def test_importing_the_room_imports_no_library():
    names = ", ".join(f"longsum_lib.upstream.{path.stem}" for path in ROOM.glob("[a-z]*.py"))
    code = f"import sys, {names}; print(sorted({{'torch', 'transformers', 'peft', 'accelerate'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_version_is_compared_anywhere():
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                assert "version" not in ast.unparse(node).lower(), f"{path.name}: {ast.unparse(node)}"


def test_private_api_of_torch_is_named_in_the_room_only():
    for path in LIBRARY.rglob("*.py"):
        if path.parent != ROOM:
            text = path.read_text()
            for private in ("torch._C", "torch.ops.aten._", "torch.ops.mkldnn", "._forward_hooks"):
                assert private not in text, f"{path}: {private} belongs into longsum_lib/upstream/torch.py"


def test_the_old_name_of_the_cache_is_known_in_the_room_only():
    for path in LIBRARY.rglob("*.py"):
        if path.parent != ROOM:
            assert "past_key_values" not in path.read_text(), path


def test_the_cache_has_the_name_that_generate_gives_it():
    names = inspect.signature(transformers.GenerationMixin.prepare_inputs_for_generation).parameters
    assert upstream.cache_name() in names


def test_the_installed_release_lies_in_the_tested_range():
    from packaging.version import Version

    oldest, newest = TESTED["transformers"]
    assert Version(oldest) <= Version(transformers.__version__) <= Version(newest), (
        "the range in longsum_lib/upstream/__init__.py is older than what the tests run on"
    )


# -- what is private may go --------------------------------------------------------------------------------------------


@pytest.fixture
def forget():
    """Make the room look again, now and after the test."""
    caches = (upstream.beams_can_share, upstream_torch.fused_attention, upstream_torch.few_rows_linear)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize("gone", ["_expand_inputs_for_generation", "_prepare_cache_for_generation"])
@pytest.mark.parametrize("name", ["led", "longt5_local"])
def test_without_a_step_of_generate_beams_get_copies_and_the_same_ids(monkeypatch, forget, gone, name):
    model = ours_only(FAMILIES[name]).eval()
    options = {"num_beams": 3, "max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}
    given = inputs(FAMILIES[name], 40)
    expected = model.generate(**given, **options)
    step = inspect.getattr_static(transformers.GenerationMixin, gone)
    monkeypatch.setattr(cache_module.SharedGenerationMixin, gone, step)  # as if generate never called ours
    monkeypatch.setattr(cache_module, "beams_can_share", lambda: False)
    assert torch.equal(model.generate(**given, **options), expected)


def test_a_missing_step_is_noticed(monkeypatch, forget):
    assert upstream.beams_can_share()
    upstream.beams_can_share.cache_clear()
    monkeypatch.delattr(transformers.GenerationMixin, "_prepare_cache_for_generation")
    assert not upstream.beams_can_share()


def test_without_the_fused_kernel_plain_products_give_the_same(monkeypatch, forget):
    query, key, value = torch.randn(3, 1, 2, 100, 16, generator=torch.Generator().manual_seed(0))
    expected = sliding_window_attention(query, key, value, window=7)
    monkeypatch.setattr(fused_cpu, "_FLASH", None)
    assert isinstance(kernels.choose_kernel(query, 0.25, 0.0), kernels.Eager)
    torch.testing.assert_close(sliding_window_attention(query, key, value, window=7), expected)


def test_an_operator_with_other_arguments_counts_as_gone(monkeypatch, forget):
    assert upstream_torch.fused_attention("cpu") is not None
    assert upstream_torch._operator("aten", "_scaled_dot_product_flash_attention_for_cpu", "no_such_argument") is None
    assert upstream_torch._operator("aten", "no_such_operator") is None


def test_without_onednn_s_product_the_head_gives_the_same(monkeypatch):
    head, states = torch.nn.Linear(32, 64), torch.randn(4, 1, 32)
    with torch.no_grad():
        expected = head(states)
        monkeypatch.setattr(few_rows, "few_rows_linear", lambda: None)
        assert torch.equal(few_rows.linear_of_few(head, states), expected)


def test_without_the_private_guard_an_operator_still_has_gradients(monkeypatch):
    query = torch.randn(1, 2, 40, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def gradient():
        compiled = torch.compile(lambda q: sliding_window_attention(q, q, q, window=3), backend="eager")
        return torch.autograd.grad(compiled(query).square().sum(), query)[0]

    expected = gradient()
    ran = []

    def no_guard():
        raise AttributeError("module 'torch._C' has no attribute '_ForceDispatchKeyGuard'")

    in_a_thread = upstream_torch._in_a_thread
    monkeypatch.setattr(upstream_torch, "_in_a_thread", lambda function: ran.append(1) or in_a_thread(function))
    monkeypatch.setattr(upstream_torch, "_autograd_again", no_guard)
    torch.testing.assert_close(gradient(), expected)
    assert ran


# -- a wrong combination never writes garbage --------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_a_cache_that_does_not_come_back_is_an_error_that_names_the_versions(monkeypatch, name):
    """As 5.24 did to the library of its day: the cache travels under a name that the model does not know."""
    model = ours_only(FAMILIES[name]).eval()
    prepare = transformers.GenerationMixin.prepare_inputs_for_generation

    def renamed(self, *args, **kwargs):
        made = prepare(self, *args, **kwargs)
        made.pop(upstream.cache_name(), None)
        return made

    monkeypatch.setattr(transformers.GenerationMixin, "prepare_inputs_for_generation", renamed)
    with pytest.raises(VersionError, match=f"transformers {transformers.__version__} does not hand longsum-lib"):
        model.generate(**inputs(FAMILIES[name], 30), max_new_tokens=5, min_new_tokens=5)
    with pytest.raises(VersionError, match=f"pip install '{supported('transformers')}'"):
        cache_module.check_remembers(STEP, 3)


STEP = {"decoder_input_ids": torch.ones(1, 1, dtype=torch.long)}


def test_a_cache_that_holds_too_little_is_an_error():
    cache = transformers.cache_utils.DynamicCache()
    cache.update(torch.zeros(1, 1, 4, 2), torch.zeros(1, 1, 4, 2), 0)
    held = {**STEP, upstream.cache_name(): transformers.cache_utils.EncoderDecoderCache(cache, cache)}
    cache_module.check_remembers(held, 5)
    with pytest.raises(VersionError, match="4 of 5 are there"):
        cache_module.check_remembers(held, 6)


def test_longt5_reads_the_one_stored_embedding_whatever_its_config_says(tmp_path):
    """As the published checkpoints: ``tie_word_embeddings: false``, and only ``shared.weight`` is stored."""
    config = FAMILIES["longt5_local"].config(tie_word_embeddings=False)
    torch.manual_seed(0)
    model = LongT5ForConditionalGeneration(config)
    stored = {k: v.clone() for k, v in model.state_dict().items() if not k.endswith("embed_tokens.weight")}
    stored["lm_head.weight"] = torch.randn_like(stored["lm_head.weight"])
    from safetensors.torch import save_file

    save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
    fields = config.to_dict() | {"tie_word_embeddings": False}
    fields.pop("scale_decoder_outputs", None)
    import json

    (tmp_path / "config.json").write_text(json.dumps(fields))
    loaded = LongT5ForConditionalGeneration.from_pretrained(tmp_path)
    for stack in (loaded.encoder, loaded.decoder):
        assert torch.equal(stack.embed_tokens.weight, stored["shared.weight"])
    assert torch.equal(loaded.lm_head.weight, stored["lm_head.weight"])


# -- what the room lists -----------------------------------------------------------------------------------------------


def test_every_option_that_from_pretrained_reads_is_listed():
    import re

    source = inspect.getsource(transformers.PreTrainedModel.from_pretrained)
    read = set(re.findall(r'kwargs\.(?:pop|get)\("(\w+)"', source))
    named = set(inspect.signature(transformers.PreTrainedModel.from_pretrained).parameters) - {"kwargs", "model_args"}
    assert read | named <= upstream.LOADING_OPTIONS
    assert len(read) > 10


def test_every_keyword_of_transformers_kwargs_is_honoured_or_refused_with_its_reason():
    from transformers.utils import TransformersKwargs

    names = set(TransformersKwargs.__annotations__)
    honoured = {"output_hidden_states", "output_attentions"}
    assert names - honoured <= set(upstream.REFUSED)
    assert honoured <= set(inspect.signature(LongT5ForConditionalGeneration.forward).parameters)
