"""Rows whose step leaves no number to the processor, so that a GPU can record it once and replay it.

A decoding step is some hundred small kernels. Started one by one, a GPU waits for the processor between them; recorded
as a CUDA graph they are started by one call. A recording repeats the same kernels on the same places of memory, so that
everything that changes from step to step has to lie on the device: tokens and positions. Keys are read up to the end of
the buffer, those that are not written yet with a score of -inf.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from longsum_lib.models.core.step.documents import DocumentKeys
from longsum_lib.models.core.step.rows import Rows, Where
from longsum_lib.upstream.torch import end_failed_recording

if TYPE_CHECKING:
    from longsum_lib.models.core.step.decoder import StepDecoder


class RecordedRows(Rows):
    """:class:`.Rows` that replay a recorded step; the same logits.

    A recording holds until the buffers move: when they grow, when rows are dropped, and when a row gets another
    document. On a device without graphs every step is run anew, by the same kernels.

    Cost:
        a step reads keys up to the buffer's end, at most twice as many as there are; a recording takes about a step.
    """

    def __init__(
        self, decoder: StepDecoder, documents: Sequence[DocumentKeys], capacity: int, most: int | None = None
    ) -> None:
        super().__init__(decoder, documents, capacity, most)
        self._replay: Callable[[], Tensor] | None = None
        self._lay_out()

    def step(self, tokens: Tensor) -> Tensor:
        """Do what :meth:`.Rows.step` does."""
        if tokens.shape != (len(self),):
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, expected ({len(self)},): one a row")
        last = self._decoder.weights.positions
        if last is not None and max(self.positions, default=0) >= last:  # a GPU could not raise it
            raise IndexError(f"a row has {max(self.positions)} tokens, and the model {last} positions")
        self.make_room()
        self._tokens.copy_(tokens)
        if self._replay is None:
            self._replay = record(self._run, self._tokens.device)
        logits = self._replay()
        self._places.add_(1)
        self.positions = [position + 1 for position in self.positions]
        return logits

    def _run(self) -> Tensor:
        return self._decoder.step(self._tokens, self)

    def places(self) -> Tensor:
        """Return the rows' positions, int64 ``(rows,)``, which are counted on the device."""
        return self._places

    def reach(self) -> int:
        """Return how many positions a step may ask for: all that there is room for."""
        return self.capacity

    def where(self) -> Where:
        """Return the place of each row and scores that hide what lies behind it."""
        of = self._decoder.weights
        if of.distance_bias is not None and self._bias.shape[-1] < self.capacity:
            self._bias = of.distance_bias(self.capacity).to(of.dtype)
        scores = self._scores(self._places[:, None] - self._keys)
        return Where((self._numbers, self._places), self.capacity, scores)

    def reorder(self, index: Tensor) -> None:
        """Follow chosen beams, in place where no row is dropped."""
        given, index = index, index.to(self._own.device)
        if len(index) != len(self):
            super().reorder(index)
            self._lay_out()
            return
        for own in self._by_layer:  # one by one: what moves exists twice
            own.copy_(own[index])
        if len(set(map(id, self.documents))) == 1 and len(set(self.positions)) == 1:
            return  # beams of one document: nothing else can have changed
        chosen = given.tolist()  # no wait where the caller has it on the processor
        positions, documents = [self.positions[i] for i in chosen], [self.documents[i] for i in chosen]
        changed = any(one is not other for one, other in zip(documents, self.documents, strict=True))
        self.positions, self.documents = positions, documents
        self._places.copy_(self._places[index])
        if changed:
            self._group_documents()
            self._replay = None

    def replace(self, row: int, document: DocumentKeys) -> None:
        """Begin anew in one row, with another document."""
        super().replace(row, document)
        self._places[row] = 0
        self._replay = None

    def make_room(self) -> None:
        """See that every row can take one token more."""
        before = self._own
        super().make_room()
        if self._own is not before:
            self._lay_out()

    def _lay_out(self) -> None:
        """Make the tensors beside the buffer anew, and forget the recording."""
        device = self._own.device
        with torch.inference_mode(False):
            self._tokens = torch.zeros(len(self), dtype=torch.int64, device=device)
            self._places = torch.tensor(self.positions, dtype=torch.int64, device=device)
            self._numbers = torch.arange(len(self), device=device)
            self._keys = torch.arange(self.capacity, device=device)
        self._replay = None


_REFUSED: set[torch.device] = set()
"""Devices on which recording failed once: it is not tried again, since torch 2.11 does not get over it well."""


def record(run: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """Record what a function does on a GPU, and return what replays it; the function itself on another device.

    Args:
        run: reads and writes the same tensors whenever it is called, and asks for no number.
        device: where these tensors lie.

    Returns:
        a function that returns a copy of the result. Where a GPU refuses to record, ``run`` itself, with a warning.
    """
    if device.type != "cuda" or device in _REFUSED:
        return run
    try:
        return _graph(run, device)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        _REFUSED.add(device)
        warnings.warn(f"a decoding step could not be recorded ({error}); its kernels are started singly", stacklevel=3)
        return run


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which steps are recorded: one, since the allocator keeps memory for each."""
    return torch.cuda.Stream(device)


def _graph(run: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """Record ``run`` as a CUDA graph. Running it before lets libraries set up what they set up at a first call.

    By hand, since ``torch.cuda.graph`` empties the whole allocator's cache before each recording, records on the
    current device, which may be another, and stays on its stream where a recording fails. Other threads may go on
    using the GPU meanwhile.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device):
        before, stream = torch.cuda.current_stream(device), _stream(device)
        stream.wait_stream(before)
        with torch.cuda.stream(stream):
            run()
            stream.synchronize()
            try:
                graph.capture_begin(capture_error_mode="thread_local")
                result = run()
            except BaseException:
                end_failed_recording(graph, device)
                raise
            graph.capture_end()
        before.wait_stream(stream)

    def replay() -> Tensor:
        graph.replay()
        return result.clone()

    return replay
