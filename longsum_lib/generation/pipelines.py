"""``pipeline("summarization")``, which transformers had until version 5, on this library's ``summarize``.

>>> from longsum_lib import pipeline
>>> summarizer = pipeline("summarization", model="led-tiny", device=-1)  # doctest: +SKIP
>>> summarizer(text, max_length=130, num_beams=4)[0]["summary_text"]  # doctest: +SKIP

What differs from transformers 4 is told in :class:`SummarizationPipeline`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

from longsum_lib.errors import DocumentTooLong, OptionError, UnknownOption, did_you_mean
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.upstream.accelerate import running_device

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

TASKS = {"summarization": "summary_text", "text2text-generation": "generated_text"}
"""Task -> the key under which a result holds its text, as transformers 4 had them."""

_OTHER_DOORS = (
    "for heads see AutoModelForSequenceClassification and AutoModelForQuestionAnswering, for other tasks "
    "transformers.pipeline"
)
_TRUNCATION = {True: True, "longest_first": True, "only_first": True}
_NO_TRUNCATION = (False, None, "do_not_truncate")
# What transformers 4 took for its own machinery. None of it changes a result here.
_WITHOUT_MEANING = ("num_workers", "use_fast")
_HANDED_ON = ("split", "extract_first", "anyway")
_OPTIONS = ("batch_size", "truncation", "return_text", "return_tensors", "clean_up_tokenization_spaces", *_HANDED_ON)


def pipeline(
    task: str | None = None,
    model: str | os.PathLike[str] | PreTrainedModel | None = None,
    config: PreTrainedConfig | None = None,
    tokenizer: str | os.PathLike[str] | PreTrainedTokenizerBase | None = None,
    *,
    device: int | str | torch.device | None = None,
    device_map: str | dict[str, int | str | torch.device] | None = None,
    dtype: str | torch.dtype | None = None,
    torch_dtype: str | torch.dtype | None = None,
    framework: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    trust_remote_code: bool | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> SummarizationPipeline:
    """Make what turns texts into summaries, as ``transformers.pipeline`` did in version 4.

    Args:
        task: ``"summarization"`` (also None) or ``"text2text-generation"``, which differ in the results' key.
        model: A bundled name, a folder, a name on the hub, or a loaded model.
        config: Not taken: load the model with it and give the model.
        tokenizer: A tokenizer, or the name of one; None takes the model's own.
        device: ``0`` or ``"cuda:0"`` …, ``-1`` or ``"cpu"``; None takes a GPU if there is one. A loaded model is moved.
        device_map: As in ``from_pretrained``, for example ``"auto"``; not beside ``device``.
        dtype: Number format to load in; see ``load``, whose ``"auto"`` depends on the device.
        torch_dtype: The older name of ``dtype``.
        framework: ``"pt"`` or None.
        revision: A branch, tag or commit of the model on the hub.
        token: A token for private models.
        trust_remote_code: Taken, and runs nothing.
        model_kwargs: More keywords for ``load``, for example ``{"quantization_config": BitsAndBytesConfig(…)}``.
        **options: Defaults for every call: ``batch_size``, ``truncation`` and options of ``generate``, see
            :meth:`SummarizationPipeline.__call__`.

    Returns:
        A function of texts.

    Raises:
        OptionError: Another task, no model, or options that contradict each other.
        UnknownOption: An option is not known; a ``TypeError``.
        LongsumError: The model cannot be loaded; see ``load``.
    """
    _check_options("pipeline", options)
    task = _check_task(task)
    if framework not in (None, "pt"):
        raise OptionError(f"framework is {framework!r}; models here are PyTorch's, so leave it out or give 'pt'")
    if config is not None:
        raise OptionError("config: load the model with it (from_pretrained(…, config=…)) and give the model")
    if model is None:
        raise OptionError(
            "pipeline needs a model: a bundled name (led-tiny), a folder, a name on the hub or a loaded one; "
            "summarize(text) needs none, it takes sentences of the text"
        )
    if device is not None and device_map is not None:
        raise OptionError("device and device_map say the same thing twice; give one of them")
    loading = {"revision": revision, "token": token, **(model_kwargs or {})}
    loading |= {"device_map": device_map, "dtype": dtype, "torch_dtype": torch_dtype}
    loading = {name: value for name, value in loading.items() if value is not None}
    if trust_remote_code or loading.pop("trust_remote_code", False):
        from longsum_lib.models.core.pretrained import say_no_code_runs

        say_no_code_runs(SummarizationPipeline)
    if isinstance(model, str | os.PathLike):
        name, model = model, _load(model, device, loading)
        tokenizer = name if tokenizer is None else tokenizer
    else:
        _place(model, device, loading)
    if isinstance(tokenizer, str | os.PathLike):
        from longsum_lib.loading.auto import HUB_OPTIONS, load_tokenizer

        tokenizer = load_tokenizer(tokenizer, **{key: loading[key] for key in HUB_OPTIONS if key in loading})
    return SummarizationPipeline(model, tokenizer, task=task, **options)


def _check_task(task: str | None) -> str:
    if task is None:
        return "summarization"
    if task not in TASKS:
        close = did_you_mean(str(task), TASKS)
        raise OptionError(f"task {task!r} is not here{close}; expected {' or '.join(TASKS)} ({_OTHER_DOORS})")
    return task


def _load(
    name: str | os.PathLike[str], device: int | str | torch.device | None, loading: dict[str, Any]
) -> PreTrainedModel:
    from longsum_lib.loading.auto import load

    keywords = dict(loading)
    if "quantization_config" in keywords:
        keywords["quantization"] = keywords.pop("quantization_config")
    return load(name, device=device, **keywords)


def _place(model: PreTrainedModel, device: int | str | torch.device | None, loading: dict[str, Any]) -> None:
    """Move a model that the caller has loaded."""
    if loading:
        raise OptionError(f"{', '.join(loading)}: that is for a model given by name; this one is loaded")
    if device is None:
        return
    if getattr(model, "hf_device_map", None) is not None:
        raise OptionError("this model was loaded with device_map, which has placed it; leave device out")
    from longsum_lib.loading.devices import choose_device

    torch_module: torch.nn.Module = model
    torch_module.to(choose_device(device))


class SummarizationPipeline:
    """Texts in, ``[{"summary_text": …}]`` out.

    What differs from transformers 4: a model with global tokens (LED) gets its first token global, as its paper
    advises; the line break of Pegasus tokenizers, ``<n>``, becomes one; a document that is longer than the model takes
    is refused, with ``truncation=True`` named, where it ended in an index error; a model without a limit (PEGASUS-X,
    LongT5) reads all of it.

    Args:
        model: A model that writes.
        tokenizer: Its tokenizer; None takes the one of the model's checkpoint.
        task: ``"summarization"`` or ``"text2text-generation"``.
        **options: Defaults for every call.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        task: str = "summarization",
        **options: Any,
    ) -> None:
        from longsum_lib.loading.auto import load_tokenizer

        _check_options(type(self).__name__, options)
        if tokenizer is None:
            if not getattr(model, "name_or_path", ""):
                raise OptionError("this model was not loaded from a checkpoint; give its tokenizer as well")
            tokenizer = load_tokenizer(str(model.name_or_path))
        self.model, self.tokenizer, self.task, self.options = model, tokenizer, _check_task(task), options

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return running_device(self.model)

    @overload
    def __call__(
        self, documents: str | DocumentText | list[str] | tuple[str, ...], **options: Any
    ) -> list[dict[str, str]]: ...
    @overload
    def __call__(self, documents: Iterable[str], **options: Any) -> Iterator[list[dict[str, str]]]: ...
    def __call__(
        self, documents: str | DocumentText | Iterable[str], **options: Any
    ) -> list[dict[str, str]] | Iterator[list[dict[str, str]]]:
        """Summarize.

        Args:
            documents: A text, a list of texts, or anything else that yields texts: a generator, a column of a data
                set. That is read as it is asked for, ``batch_size`` texts at a time.
            **options: ``batch_size`` (1); ``truncation`` (False): read only as much as the model takes; ``split``
                (False): summarize parts of a document that is too long, then the joined summaries; ``extract_first``
                and ``anyway`` as in ``summarize``;
                ``clean_up_tokenization_spaces`` (False); ``return_text`` (True); and options of ``generate``
                (``max_length``, ``min_length``, ``do_sample``, ``num_beams``, ``cache_implementation`` …).

        Returns:
            ``[{"summary_text": …}]`` for a text, one such dictionary a text for a list, and for anything else an
            iterator over ``[{"summary_text": …}]``. The key is ``generated_text`` for ``"text2text-generation"``.

        Raises:
            DocumentTooLong: A document is longer than the model takes, and nothing says what to do.
            OptionError: Options contradict each other, or are not for texts.
            UnknownOption: There is no such option.

        Cost:
            That of ``summarize``.
        """
        options = {**self.options, **options}
        _check_options(type(self).__name__, options)
        settings, clean = _split_options(options)
        no_texts = isinstance(documents, bytes | bytearray | Mapping | Set | os.PathLike)
        if isinstance(documents, str | DocumentText):
            return self._summarize([documents], settings, clean)
        if isinstance(documents, list | tuple) or no_texts or not isinstance(documents, Iterable):
            return self._summarize(documents, settings, clean)  # which refuses what holds no texts
        return self._one_by_one(documents, settings, clean)

    def _one_by_one(
        self, documents: Iterable[str], settings: dict[str, Any], clean: bool
    ) -> Iterator[list[dict[str, str]]]:
        waiting = iter(documents)
        while batch := list(islice(waiting, settings.get("batch_size", 1))):
            for result in self._summarize(batch, settings, clean):
                yield [result]

    def _summarize(self, documents: Any, settings: dict[str, Any], clean: bool) -> list[dict[str, str]]:
        from longsum_lib.generation.summarize import summarize

        try:
            summaries = summarize(documents, self.model, tokenizer=self.tokenizer, **settings)
        except DocumentTooLong as error:
            error.args = (error.describe("truncation=True", "split=True", "extract_first=True"),)
            raise
        texts = [summary.text for summary in summaries]
        if clean:
            texts = [self.tokenizer.clean_up_tokenization(text) for text in texts]
        return [{TASKS[self.task]: text} for text in texts]


def _check_options(owner: str, options: Mapping[str, Any]) -> None:
    """Refuse now what the first call would refuse."""
    from longsum_lib.generation.options import settle

    settle({name: value for name, value in options.items() if name not in (*_OPTIONS, *_WITHOUT_MEANING)}, owner=owner)
    if options.get("return_tensors") or options.get("return_text", True) is False:
        raise UnknownOption.of(owner, "return_tensors", reason="results are texts; call model.generate for token ids")
    truncation = options.get("truncation")
    if truncation not in _TRUNCATION and truncation not in _NO_TRUNCATION:
        raise OptionError(f"truncation is {truncation!r}, expected True or False")


def _split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the keywords of ``summarize``, and whether spaces before punctuation are to be removed."""
    settings = {name: value for name, value in options.items() if name not in (*_OPTIONS, *_WITHOUT_MEANING)}
    settings["truncate"] = options.get("truncation") in _TRUNCATION
    settings |= {name: bool(options.get(name)) for name in _HANDED_ON}
    if options.get("batch_size") is not None:
        settings["batch_size"] = options["batch_size"]
    return settings, bool(options.get("clean_up_tokenization_spaces"))
