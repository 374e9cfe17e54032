#!/usr/bin/env bash
# A memory profile of torch is smaller by every tensor of an earlier profile that happens to be freed within it.
#
# Guess: what a profile says of memory depends on what runs inside it; what was allocated before it began is left out,
#   as the profiler's own warning says ("results will not include the deallocation event").
# What happens: that holds for a tensor that was made outside any profile. One that was made inside an earlier profile
#   is remembered, and freed in a later one it is subtracted there. Two equal runs differ, and a peak found by adding up
#   the events is too small, when Python's collector frees something old in between.
# Versions: torch 2.13.0 (CPU), Python 3.11; run on 2026-11-29.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy
cd "$work"
"$work/venv/bin/python" - <<'PYTHON' 2>/dev/null
import torch
from torch.profiler import ProfilerActivity, profile

MIB = 2**20


def memory(run):
    """MiB that all events of one profile of `run` add up to."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        run()
    return sum(event.self_cpu_memory_usage for event in found.key_averages()) // MIB


kept = {"made outside": torch.ones(4 * MIB // 4)}
memory(lambda: kept.update({"made in a profile": torch.ones(4 * MIB // 4)}))


def work(name=None):
    kept.pop(name, None)
    kept["new"] = torch.ones(8 * MIB // 4)
    del kept["new"]
    kept["result"] = torch.ones(1 * MIB // 4)
    del kept["result"]


found = {
    "nothing old is freed": memory(work),
    "a tensor made outside is freed": memory(lambda: work("made outside")),
    "a tensor of an earlier profile is freed": memory(lambda: work("made in a profile")),
}
for what, mib in found.items():
    print(f"{what}: {mib} MiB")
assert list(found.values()) == [0, 0, -4], found
PYTHON
