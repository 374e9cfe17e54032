r"""Evaluate a fine-tuned LongT5 on PubMed with ROUGE: the program of the model's documentation, as it runs today.

The data are local parquet files with the columns ``article`` and ``abstract``, such as those of the data set
``ccdv/pubmed-summarization`` (``scientific_papers``, which the old program names, is a script and can no longer be
loaded). From the root of the repository:

    python examples/longt5_on_pubmed.py document/validation-*.parquet \
        --model Stancld/longt5-tglobal-large-16384-pubmed-3k_steps --device 0 --dtype fp16

What else changed, line by line:

- ``LongT5ForConditionalGeneration`` comes from ``longsum_lib``, where fp16 is safe; so ``.half()`` becomes a dtype.
- ``padding="max_length"`` pads every article to 16,384 tokens; ``padding=True`` pads to the longest one of the batch.
  Padding on the right changes nothing for real tokens.
- ``dataset.map`` gets the function by its name: the old program defines ``generate_answers`` and passes
  ``generate_answer``.
- ROUGE comes from ``rouge-score``, the package underneath ``evaluate.load("rouge")``, which fetches code.

``longsum evaluate --dataset FILE --text-column article --summary-column abstract`` does it in one command, and gives
intervals too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import torch
from datasets import load_dataset

from longsum_lib import AutoTokenizer, LongT5ForConditionalGeneration
from longsum_lib.evaluation import rouge
from longsum_lib.loading.checkpoint_files import find_checkpoint
from longsum_lib.loading.devices import choose_device
from longsum_lib.units import DTYPE_NAMES

MODEL = "Stancld/longt5-tglobal-large-16384-pubmed-3k_steps"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="parquet files with the columns article and abstract")
    add("--model", default=MODEL, metavar="NAME", help="a fine-tuned LongT5 (default: %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda, or a number: 0 is cuda:0, -1 the cpu")
    add("--dtype", default="fp32", choices=("fp32", "bf16", "fp16"))
    add("--limit", type=int, help="read only so many rows")
    add("--batch-size", type=int, default=2, metavar="N")
    add("--num-beams", type=int, default=2, metavar="N")
    add("--max-length", type=int, default=512, metavar="N", help="tokens of a summary (default: %(default)s)")
    add("--max-input", type=int, default=16384, metavar="N", help="tokens of an article (default: %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Write a summary of each article, print ROUGE (F1, percent) as JSON, and return it."""
    options = parse(arguments)
    dataset = load_dataset("parquet", data_files=options.files, split="train")
    if options.limit:
        dataset = dataset.select(range(min(options.limit, len(dataset))))
    folder = find_checkpoint(options.model).folder  # a bundled name, a folder or a name on the hub
    dtype = getattr(torch, DTYPE_NAMES[options.dtype])
    model = LongT5ForConditionalGeneration.from_pretrained(folder, dtype=dtype).to(choose_device(options.device))
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def generate_answers(batch: dict[str, list[str]]) -> dict[str, list[str]]:
        inputs = tokenizer(
            batch["article"], max_length=options.max_input, padding=True, truncation=True, return_tensors="pt"
        ).to(model.device)
        output_ids = model.generate(
            inputs.input_ids,
            attention_mask=inputs.attention_mask,
            max_new_tokens=options.max_length - 1,  # max_length counts the start token
            num_beams=options.num_beams,
        )
        return {"predicted_abstract": tokenizer.batch_decode(output_ids, skip_special_tokens=True)}

    result = dataset.map(generate_answers, batched=True, batch_size=options.batch_size)
    scores = rouge(result["abstract"], result["predicted_abstract"])
    print(json.dumps({"documents": len(result), **scores}))
    return scores


if __name__ == "__main__":
    main()
