"""LSG-BERT and LSG-RoBERTa with the heads that transformers puts on BERT and RoBERTa."""

from __future__ import annotations

from transformers import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    RobertaForMaskedLM,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

from longsum_lib.models.lsg.config import LSGBertConfig, LSGFields, LSGRobertaConfig
from longsum_lib.models.lsg.encoder_model import LSGBertModel, LSGRobertaModel, LSGTextPreTrainedModel
from longsum_lib.upstream.transformers import make_known

__all__ = [
    "LSGBertConfig",
    "LSGBertForMaskedLM",
    "LSGBertForQuestionAnswering",
    "LSGBertForSequenceClassification",
    "LSGBertForTokenClassification",
    "LSGBertModel",
    "LSGRobertaConfig",
    "LSGRobertaForMaskedLM",
    "LSGRobertaForQuestionAnswering",
    "LSGRobertaForSequenceClassification",
    "LSGRobertaForTokenClassification",
    "LSGRobertaModel",
]


class _Headed(LSGTextPreTrainedModel):
    """Transformers' head and loss on an LSG encoder; mixed in before the plain class."""

    _encoder: type

    def __init__(self, config: LSGFields):
        super().__init__(config)  # builds the head, and a plain encoder that makes room
        prefix = self.base_model_prefix
        pools = getattr(self, prefix).pooler is not None
        setattr(self, prefix, self._encoder(config, add_pooling_layer=pools))
        self.post_init()


class _Bert(_Headed):
    config_class = LSGBertConfig
    base_model_prefix = "bert"
    _encoder = LSGBertModel


class _Roberta(_Headed):
    config_class = LSGRobertaConfig
    base_model_prefix = "roberta"
    _encoder = LSGRobertaModel


class LSGBertForMaskedLM(_Bert, BertForMaskedLM):
    """LSG-BERT that fills in masked tokens."""


class LSGBertForSequenceClassification(_Bert, BertForSequenceClassification):
    """LSG-BERT that classifies texts by their first token."""


class LSGBertForQuestionAnswering(_Bert, BertForQuestionAnswering):
    """LSG-BERT that marks the span of an answer."""


class LSGBertForTokenClassification(_Bert, BertForTokenClassification):
    """LSG-BERT that classifies every token."""


class LSGRobertaForMaskedLM(_Roberta, RobertaForMaskedLM):
    """LSG-RoBERTa that fills in masked tokens."""


class LSGRobertaForSequenceClassification(_Roberta, RobertaForSequenceClassification):
    """LSG-RoBERTa that classifies texts by their first token."""


class LSGRobertaForQuestionAnswering(_Roberta, RobertaForQuestionAnswering):
    """LSG-RoBERTa that marks the span of an answer."""


class LSGRobertaForTokenClassification(_Roberta, RobertaForTokenClassification):
    """LSG-RoBERTa that classifies every token."""


# So that transformers' AutoModel classes and pipelines build these models once this module has been imported.
make_known(
    {
        "AutoModel": (LSGBertModel, LSGRobertaModel),
        "AutoModelForMaskedLM": (LSGBertForMaskedLM, LSGRobertaForMaskedLM),
        "AutoModelForSequenceClassification": (LSGBertForSequenceClassification, LSGRobertaForSequenceClassification),
        "AutoModelForQuestionAnswering": (LSGBertForQuestionAnswering, LSGRobertaForQuestionAnswering),
        "AutoModelForTokenClassification": (LSGBertForTokenClassification, LSGRobertaForTokenClassification),
    }
)
