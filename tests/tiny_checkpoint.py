"""Tiny random LED checkpoints with a tokenizer of their own, made in a second and without a network."""

from pathlib import Path

TEXT = (
    "The harbour report names the pilot. The lamp at the north mole was mended on Tuesday. Nobody saw the "
    "ship leave. The council met twice and asked for new figures. The clerk wrote them down by hand."
)
LONGEST = 128
LONGEST_SUMMARY = 48


def make_tokenizer():
    """A byte-level BPE tokenizer trained on a few sentences, with LED's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator([TEXT], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def make_config(**changes):
    from transformers import LEDConfig

    fields = {
        "vocab_size": 400,
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "attention_window": [8, 8],
        "max_encoder_position_embeddings": LONGEST,
        "max_decoder_position_embeddings": LONGEST_SUMMARY,
        # Larger than usual, so that random weights prefer some tokens clearly.
        "init_std": 0.5,
    }
    return LEDConfig(**{**fields, **changes})


def make_checkpoint(folder: Path, *, tokenizer: bool = True, **changes) -> Path:
    """Save a random tiny LED (safetensors) and, if wanted, its tokenizer."""
    import torch

    from longsum_lib.models.led.heads import LEDForConditionalGeneration

    torch.manual_seed(0)
    model = LEDForConditionalGeneration(make_config(**changes))
    model.generation_config.max_new_tokens = 12
    model.save_pretrained(folder)
    if tokenizer:
        make_tokenizer().save_pretrained(folder)
    return folder
