"""A step that can be recorded: all that changes lies on the device, and the logits are those of the plain step."""

import dataclasses

import pytest
import torch
from test_step import NAMES, documents_of, encoded, model_of, steps_taken  # noqa: F401  (a fixture)

from longsum_lib.models.core.step import recorded
from longsum_lib.models.core.step.decoder import StepDecoder
from longsum_lib.models.core.step.recorded import RecordedRows
from longsum_lib.models.core.step.rows import Rows


class Graph:
    """Stands in for a CUDA graph: a replay may read nothing but tensors, and their places must not have moved."""

    def __init__(self, run, rows):
        self.run, self.rows = run, rows
        self.places = self.where()

    def where(self):
        rows = self.rows()
        tensors = (rows._own, rows._tokens, rows._places, rows._numbers, rows._keys)
        return [tensor.data_ptr() for tensor in tensors], list(map(id, rows.documents))

    def __call__(self):
        assert self.where() == self.places
        positions, self.rows().positions = self.rows().positions, None  # the processor's own count must not be read
        try:
            return self.run()
        finally:
            self.rows().positions = positions


@pytest.fixture
def recordings(monkeypatch):
    made = []

    def record(run, device):
        made.append(run)
        run()  # as a GPU's libraries need it
        return Graph(run, lambda: run.__self__)

    monkeypatch.setattr(recorded, "record", record)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_plain_step(name, recordings):
    model = model_of(name)
    decoder = StepDecoder(model)
    states = encoded(model, name, 40, 23)
    documents = [decoder.document(one) for one in states]
    documents = [documents[0], documents[0], documents[1]]
    plain, repeated = Rows(decoder, documents, 4), RecordedRows(decoder, documents, 4)
    tokens = torch.tensor([2, 2, 2])
    for number in range(11):
        with torch.inference_mode(number % 2 == 0):
            expected = plain.step(tokens)
            torch.testing.assert_close(repeated.step(tokens), expected, rtol=1e-4, atol=1e-4)
        tokens = torch.randint(3, 100, (3,))
        if number == 5:
            order = torch.tensor([1, 0, 2])
            plain.reorder(order)
            repeated.reorder(order)
        if number == 7:  # the last row begins anew, at a place of its own
            plain.replace(2, documents[0])
            repeated.replace(2, documents[0])
        if number == 9:
            plain.reorder(torch.tensor([2, 0]))
            repeated.reorder(torch.tensor([2, 0]))
            tokens = tokens[:2]
    # For room for 4 and 8 tokens; for 16, where the other document comes in too; for fewer rows.
    assert len(recordings) == 4


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_generate_writes_the_same(name, options, recordings, monkeypatch):
    model = model_of(name)
    given = documents_of(name, 50)
    options = options | {"max_new_tokens": 9, "min_new_tokens": 9}
    torch.manual_seed(3)
    expected = model.generate(**given, **options)
    model.records_steps = True
    torch.manual_seed(3)
    assert torch.equal(model.generate(**given, **options), expected)
    assert recordings


def test_the_end_of_the_positions_is_an_error_before_the_device_sees_it():
    model = model_of("led")
    decoder = StepDecoder(model)
    assert decoder.weights.positions == model.config.max_decoder_position_embeddings
    decoder.weights = dataclasses.replace(decoder.weights, positions=6)
    rows = RecordedRows(decoder, [decoder.document(encoded(model, "led", 20)[0])], 4)
    for _ in range(6):
        rows.step(torch.tensor([5]))
    with pytest.raises(IndexError, match="6 tokens, and the model 6 positions"):
        rows.step(torch.tensor([5]))


def test_a_gpu_that_cannot_record_goes_on(monkeypatch):
    def refuse(run, device):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recorded, "_REFUSED", set())
    monkeypatch.setattr(recorded, "_graph", refuse)
    with pytest.warns(UserWarning, match="not permitted when stream is capturing"):
        assert recorded.record(max, torch.device("cuda")) is max
    assert recorded.record(max, torch.device("cpu")) is max
