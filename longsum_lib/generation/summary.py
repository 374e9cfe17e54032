"""What a summary says about itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from longsum_lib.generation.extract import Passage


@dataclasses.dataclass(frozen=True)
class Summary:
    """A summary, and what it is a summary of.

    Args:
        text: The summary.
        input_tokens: Length of the whole document in tokens, special tokens included.
        summary_tokens: Length of the summary in tokens, without special tokens.
        truncated: How many tokens at the document's end were not read.
        parts: In how many parts the document was read; 1 if it was read as a whole.
        part_summaries: The parts' summaries, of which ``text`` is the summary; empty without parts.
        complete: Whether the model ended the summary by itself, before ``max_new_tokens``.
        model: The model's name.
        seconds: How long it took; in a batch, how long the whole batch took.
        foreign: Whether the document is of another world than the bundled models know.
        extractive: Whether the summary is made of sentences of the document; its lengths are in words then.
        extracted: With ``extract_first``, how many tokens of the document's own sentences the model read.
        invisible: How many invisible characters (soft hyphens, zero-width marks) of the document were not read: they
            cut words for a tokenizer.
        sources: Of an extractive summary, each sentence with its offset, paragraph and page in the document.
        score: The mean log-probability of the summary's tokens; of beams their sum over the length to the power of
            ``length_penalty``. None for an extract, and where documents were padded to a batch.
        settings_from: What the caller has not said and the checkpoint says: ``num_beams``, ``max_new_tokens`` … -> the
            file that it comes from, ``generation_config.json`` before ``config.json`` and, there, the values for
            summaries in ``task_specific_params`` before the plain ones.
    """

    text: str
    input_tokens: int
    summary_tokens: int
    truncated: int = 0
    parts: int = 1
    part_summaries: tuple[str, ...] = ()
    complete: bool = True
    model: str = ""
    seconds: float = 0.0
    foreign: bool = False
    extractive: bool = False
    extracted: int = 0
    invisible: int = 0
    sources: tuple[Passage, ...] = ()
    score: float | None = None
    settings_from: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return self.text
