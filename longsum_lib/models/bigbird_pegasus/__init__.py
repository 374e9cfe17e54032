"""BigBird-Pegasus: blocks in the encoder of a Pegasus."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "BigBirdPegasusConfig": "longsum_lib.models.bigbird_pegasus.model",
    "BigBirdPegasusDecoder": "longsum_lib.models.bigbird_pegasus.model",
    "BigBirdPegasusEncoder": "longsum_lib.models.bigbird_pegasus.model",
    "BigBirdPegasusForConditionalGeneration": "longsum_lib.models.bigbird_pegasus.model",
    "BigBirdPegasusModel": "longsum_lib.models.bigbird_pegasus.model",
    "BigBirdPegasusPreTrainedModel": "longsum_lib.models.bigbird_pegasus.model",
}

__all__ = attach(__name__, _EXPORTS)
