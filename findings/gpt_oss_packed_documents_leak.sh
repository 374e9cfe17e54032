#!/usr/bin/env bash
# Packed documents are kept apart by their position_ids in Mistral, and see each other in gpt-oss.
#
# Guess: transformers finds the borders of packed documents where position_ids begin again, in every decoder.
# What happens: gpt-oss' model does not hand position_ids on to the functions that make its masks, so the second
#   document attends to the first. No error, no warning; a causal language model trained so learns from its neighbours.
# Versions: transformers 5.24.0, torch 2.13.0, Python 3.11; run on 2026-11-28.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 transformers==5.24.0
cd "$work"
HF_HUB_OFFLINE=1 "$work/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from transformers import GptOssConfig, GptOssForCausalLM, MistralConfig, MistralForCausalLM

SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4}


def change_of_the_second(model):
    """How far the second document's logits move when the first document is another one."""
    first, second = torch.randint(3, 60, (1, 6)), torch.randint(3, 60, (1, 6))
    positions = torch.tensor([[*range(6), *range(6)]])
    found = []
    for before in (first, first.flip(1)):
        ids = torch.cat([before, second], 1)
        with torch.no_grad():
            found.append(model(input_ids=ids, position_ids=positions, use_cache=False).logits[:, 6:])
    return float((found[0] - found[1]).abs().max())


torch.manual_seed(0)
mistral = change_of_the_second(MistralForCausalLM(MistralConfig(**SIZES)).eval())
gpt_oss = change_of_the_second(GptOssForCausalLM(GptOssConfig(**SIZES, num_local_experts=2, num_experts_per_tok=1)).eval())
print(f"largest change of the second document's logits: Mistral {mistral:.1e}, gpt-oss {gpt_oss:.1e}")
assert mistral == 0.0
assert gpt_oss > 1e-3, "changed: gpt-oss keeps packed documents apart"
PYTHON
