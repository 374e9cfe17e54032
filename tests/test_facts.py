"""What masks say is looked up once while an encoder runs, and anew when a mask has changed."""

import contextlib
import copy
import threading

import pytest
import torch
from families import FAMILIES, inputs, ours_only
from torch.testing._internal.two_tensor import TwoTensor

from longsum_lib.attention.engine.facts import MOST_BYTES, MOST_TOGETHER, counting_changes, fact, shared_facts
from tools.pretend_gpu import pretended_gpu


class Asked:
    """Counts how often it is asked for the sum of masks."""

    def __init__(self):
        self.count = 0

    def __call__(self, *masks, what="sum"):
        def find():
            self.count += 1
            return sum(int(mask.sum()) for mask in masks if mask is not None)

        return fact(what, masks, find)


@pytest.fixture
def asked():
    return Asked()


def test_a_mask_is_looked_at_once(asked):
    mask = torch.tensor([True, False, True])
    with shared_facts():
        assert asked(mask) == asked(mask) == asked(mask[:]) == 2  # a view of all of it is the same mask
        assert asked.count == 1
        assert asked(mask[1:]) == 1
        assert asked(mask, None) == asked(mask, None) == 2
        assert asked(mask, what="another question") == 2
        assert asked.count == 4


def test_a_changed_mask_is_looked_at_again(asked):
    mask = torch.tensor([True, False, True])
    with shared_facts():
        assert asked(mask) == 2
        mask[1] = True
        assert asked(mask) == 3


def test_masks_that_come_and_go_are_not_confused(asked):
    with shared_facts():
        for number in range(50):  # memory that is freed is taken again at once
            assert asked(torch.arange(64) < number) == number


def test_nothing_is_kept_outside(asked):
    mask = torch.ones(3, dtype=torch.bool)
    assert asked(mask) == asked(mask) == 3
    assert asked.count == 2
    with shared_facts():
        asked(mask)
    asked(mask)
    assert asked.count == 4


def test_an_error_ends_it(asked):
    mask = torch.ones(3, dtype=torch.bool)

    @shared_facts()
    def fail():
        asked(mask)
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    asked(mask)
    assert asked.count == 2


def test_what_runs_within_begins_anew_and_so_do_other_threads(asked):
    mask = torch.ones(3, dtype=torch.bool)
    with shared_facts():
        asked(mask)
        with shared_facts():  # another model, maybe in another mode
            asked(mask)
            asked(mask)
        asked(mask)
        assert asked.count == 2
        thread = threading.Thread(target=asked, args=(mask,))
        thread.start()
        thread.join()
        assert asked.count == 3


def test_a_mask_made_in_inference_mode_is_looked_at_each_time(asked):
    with torch.inference_mode(), shared_facts():
        mask = torch.ones(3, dtype=torch.bool)
        assert asked(mask) == 3
        mask[0] = False  # torch counts no change here
        assert asked(mask) == 2
        counted = counting_changes(mask)
        assert asked(counted) == asked(counted) == 2
        assert asked.count == 3
        counted[1] = False
        assert asked(counted) == asked(counted[:]) == 1
        assert asked.count == 4
        answer = fact("answer", (counted,), lambda: counted | True)  # made in inference mode, and nobody changes it
        assert asked(answer) == asked(answer) == 3
        assert asked.count == 5


def test_large_answers_are_not_kept():
    mask, made = torch.ones(3, dtype=torch.bool), []

    def find(size):
        made.append(size)
        return torch.zeros(size, dtype=torch.uint8)

    with shared_facts():
        for size in (MOST_BYTES + 1, MOST_BYTES):
            for _ in range(2):
                fact(size, (mask,), lambda size=size: find(size))
        assert made == [MOST_BYTES + 1, MOST_BYTES + 1, MOST_BYTES]
        for number in range(10):
            fact(number, (mask,), lambda: find(MOST_BYTES))
        made.clear()
        for number in range(10):
            fact(number, (mask,), lambda: find(MOST_BYTES))
        assert len(made) == 10 - (MOST_TOGETHER // MOST_BYTES - 1)


def test_wrappers_without_numbers_are_not_confused(asked):
    with shared_facts():
        masks = [TwoTensor(torch.ones(n), torch.ones(n)) for n in (10, 10)]
        masks[1].mul_(0)
        assert [int(fact("sum", (mask,), lambda mask=mask: mask.a.sum())) for mask in masks] == [10, 0]


@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_hook_that_hides_tokens_between_layers_is_heeded(name, inference):
    """What later layers see is the mask as it is then: the kept rows are those of an encoder that looks each time."""
    masks = {}

    def hide(layer, args, made):
        padding = next(one for one in args if isinstance(one, torch.Tensor) and one.dtype == torch.bool)
        padding[:, 120:] = False

    with pretended_gpu((7, 5)):  # on a CPU each layer looks
        model = copy.deepcopy(ours_only(FAMILIES[name])).eval().to("cuda")
        given = {key: value.to("cuda") for key, value in inputs(FAMILIES[name], 200, padding="right").items()}
        layers = getattr(model.get_encoder(), "layers", None) or model.get_encoder().block
        layers[0].register_forward_hook(hide)
        for share in (True, False):
            with pytest.MonkeyPatch.context() as patch, torch.inference_mode(inference), torch.no_grad():
                if not share:
                    patch.setattr("longsum_lib.models.core.encoder.shared_facts", contextlib.nullcontext)
                masks[share] = model.get_encoder()(**given)[0][:, :100].cpu()
    assert torch.equal(masks[True], masks[False])


def test_a_teacher_within_a_student_in_training():
    with pretended_gpu((7, 5)):
        student, teacher = (copy.deepcopy(ours_only(FAMILIES["led"])).train(mode).to("cuda") for mode in (True, False))
        given = {key: value.to("cuda") for key, value in inputs(FAMILIES["led"], 60, padding="right").items()}

        def teach(layer, args):
            with torch.inference_mode():
                teacher.get_encoder()(**given)

        student.get_encoder().layers[0].register_forward_pre_hook(teach)
        student.get_encoder()(**given)[0].sum().backward()
        assert student.get_encoder().layers[0].fc1.weight.grad is not None


def test_meta():
    with torch.inference_mode(), shared_facts():
        assert [fact("shape", (torch.ones(n, device="meta"),), lambda n=n: n) for n in (2, 3)] == [2, 3]
