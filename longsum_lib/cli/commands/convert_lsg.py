"""``longsum convert-lsg``."""

from __future__ import annotations

import argparse
import dataclasses

from longsum_lib.attention.lsg.kinds import SPARSITY_TYPES
from longsum_lib.cli.numbers import whole_number
from longsum_lib.errors import OptionError
from longsum_lib.models.lsg.fields import LSGFields
from longsum_lib.places import check_folder


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``longsum convert-lsg``."""
    parser.add_argument("source", metavar="SRC", help="checkpoint to convert: a folder or a name on the hub")
    parser.add_argument("target", metavar="DST", help="folder to write; must be new or empty")
    argument = parser.add_argument
    argument("--max-length", type=int, default=4096, metavar="N", help="tokens that it shall take (default: 4096)")
    argument("--architecture", metavar="NAME", help="class to convert to (default: the checkpoint's own)")
    sizes = parser.add_argument_group("attention")
    defaults = {field.name: field.default for field in dataclasses.fields(LSGFields)}
    for name in ("block_size", "sparse_block_size", "sparsity_factor", "num_global_tokens", "lsh_num_pre_rounds"):
        option = "--" + name.replace("_", "-")
        least = 1 if name in ("block_size", "num_global_tokens") else 0
        sizes.add_argument(option, type=whole_number(least), metavar="N", help=f"default: {defaults[name]}")
    sizes.add_argument("--sparsity-type", choices=SPARSITY_TYPES, help=f"default: {defaults['sparsity_type']}")
    for name in ("mask_first_token", "pool_with_global", "pass_global_tokens_to_decoder", "strict_geometry"):
        option = "--" + name.replace("_", "-")
        text = f"default: {'yes' if defaults[name] else 'no'}"
        sizes.add_argument(option, action=argparse.BooleanOptionalAction, help=text, default=None)
    tokens = parser.add_argument_group("global tokens")
    argument = tokens.add_argument
    argument("--random-global-init", action="store_true", help="draw them from the distribution of the words")
    stride = "positions between them (default: 64)"
    argument("--global-positional-stride", type=whole_number(1), default=64, metavar="N", help=stride)
    argument("--keep-first-global-token", action="store_true", help="of an LSG checkpoint")
    argument("--resize-lsg", action="store_true", help="only change the length of an LSG checkpoint")
    argument("--use-token-ids", action=argparse.BooleanOptionalAction, default=True, help="add the first token type")
    argument("--seed", type=whole_number(0), default=123, metavar="N", help="of random numbers (default: 123)")


def run(options: argparse.Namespace) -> int:
    """Convert a checkpoint and write it with its tokenizer; returns the exit code."""
    target = check_folder(options.target, "DST")
    if target.exists() and any(target.iterdir()):
        raise OptionError(f"{target} exists and is not an empty folder; name a new one")
    own = {field.name for field in dataclasses.fields(LSGFields)}
    lsg = {k: v for k, v in vars(options).items() if k in own and v is not None}
    names = ("random_global_init", "global_positional_stride", "keep_first_global_token", "resize_lsg", "use_token_ids")
    chosen = {name: getattr(options, name) for name in (*names, "seed", "architecture")}
    from longsum_lib.loading import auto, checkpoint_files
    from longsum_lib.loading.convert_lsg import convert_to_lsg, has_tokenizer, save

    folder = checkpoint_files.find_checkpoint(options.source).folder
    tokenizer = auto.load_tokenizer(options.source) if has_tokenizer(folder) else None
    model = convert_to_lsg(options.source, options.max_length, tokenizer=tokenizer, **chosen, **lsg)
    save(model, tokenizer, options.max_length, target)
    print(f"{target}: {type(model).__name__}, {options.max_length:,} tokens")
    return 0
