"""Configs of LSG models: those of the models that they were converted from, with the fields of the attention."""

from __future__ import annotations

from typing import ClassVar

from transformers import AutoConfig, BartConfig, BertConfig, PegasusConfig, RobertaConfig

from longsum_lib.models.lsg.fields import MOST_GLOBAL_TOKENS, LSGFields

__all__ = [
    "MOST_GLOBAL_TOKENS",
    "LSGBartConfig",
    "LSGBertConfig",
    "LSGFields",
    "LSGPegasusConfig",
    "LSGRobertaConfig",
]

# The published files call themselves "pegasus" and "bart" and name code to be run. Saved under these names by us they
# would silently load as the plain models elsewhere, so our files have model types of their own; both kinds load.


# The published cards give every class BERT's name of the attention's dropout.
_ON_CARDS = {"attention_probs_dropout_prob": "attention_dropout"}


class LSGPegasusConfig(LSGFields, PegasusConfig):
    """Config of LSG-Pegasus; see :class:`LSGFields` for the fields beside those of Pegasus."""

    model_type = "lsg_pegasus"
    attribute_map: ClassVar[dict[str, str]] = PegasusConfig.attribute_map | _ON_CARDS
    classifier_dropout: float | int = 0.0


class LSGBartConfig(LSGFields, BartConfig):
    """Config of LSG-BART; see :class:`LSGFields` for the fields beside those of BART."""

    model_type = "lsg_bart"
    attribute_map: ClassVar[dict[str, str]] = BartConfig.attribute_map | _ON_CARDS


class LSGBertConfig(LSGFields, BertConfig):
    """Config of LSG-BERT; see :class:`LSGFields` for the fields beside those of BERT."""

    model_type = "lsg_bert"


class LSGRobertaConfig(LSGFields, RobertaConfig):
    """Config of LSG-RoBERTa; see :class:`LSGFields` for the fields beside those of RoBERTa."""

    model_type = "lsg_roberta"


# So that transformers' tokenizers and pipelines know the types.
for _config in (LSGPegasusConfig, LSGBartConfig, LSGBertConfig, LSGRobertaConfig):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
