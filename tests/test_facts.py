"""What masks say is looked up once while an encoder runs, and anew when a mask has changed."""

import threading

import pytest
import torch

from longsum_lib.attention.engine.facts import fact, shared_facts


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


def test_what_runs_within_shares_it_and_other_threads_do_not(asked):
    mask = torch.ones(3, dtype=torch.bool)
    with shared_facts():
        asked(mask)
        with shared_facts():
            asked(mask)
        asked(mask)
        assert asked.count == 1
        thread = threading.Thread(target=asked, args=(mask,))
        thread.start()
        thread.join()
        assert asked.count == 2


def test_inference_mode_and_meta(asked):
    with torch.inference_mode(), shared_facts():
        mask = torch.ones(3, dtype=torch.bool)
        assert asked(mask) == asked(mask) == 3
        assert asked.count == 1
        assert [fact("shape", (torch.ones(n, device="meta"),), lambda n=n: n) for n in (2, 3)] == [2, 3]
