"""Fine-tuning of the models here on documents and summaries: transformers' ``Trainer``, batches, loss, LoRA."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "Collator": "longsum_lib.training.batches",
    "FineTuning": "longsum_lib.training.fine_tune",
    "TokenizedDocuments": "longsum_lib.training.batches",
    "add_lora": "longsum_lib.training.fine_tune",
    "check_precision": "longsum_lib.training.fine_tune",
    "fine_tune": "longsum_lib.training.fine_tune",
    "summary_loss": "longsum_lib.training.batches",
}

__all__ = attach(__name__, _EXPORTS)
