"""Run what touches other libraries on the oldest and the newest releases of them. Usage: tools/versions.py LEG...

Each leg is an environment beside the pinned one: what it does not name comes from there, so that it is made in
seconds. torch stays the pinned one, since its other releases have no small build everywhere; the workflow of the
repository varies torch as well.

    tools/versions.py oldest newest      run the legs; exits with 1 if one fails
    tools/versions.py --record           write what ran into tools/versions.json and README
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "tools" / "versions.json"
NAMES = ("torch", "transformers", "huggingface_hub", "tokenizers", "accelerate", "peft", "bitsandbytes")

LEGS = {
    "oldest": ["transformers==5.15.0"],
    # torchao prints when it is imported, which the notebooks' outputs would hold, so it is no part of the pins.
    "newest": ["transformers", "huggingface_hub", "tokenizers", "safetensors", "accelerate", "peft", "torchao"],
    "prerelease": ["--pre", "transformers", "huggingface_hub", "accelerate", "peft"],
}
"""What each leg installs; ``newest`` and ``prerelease`` take whatever the registry has today."""

TESTS = (
    *("upstream", "nothing_swallowed", "bundled_summaries", "models", "led", "longt5", "lsg", "lsg_encoders"),
    *("pegasus_x", "bigbird_pegasus", "generation", "beside_transformers", "streaming", "recompute", "load"),
    *("quantized_loading", "finetuning", "published_examples", "summarize", "cli", "auto_classes", "pipelines"),
    *("file_settings", "sentencepiece_folders", "interface", "t5gemma2"),
)
"""The tests that touch other libraries: models, generation, loading, fine-tuning, the command."""


def make(leg: str) -> Path:
    """Make the environment of a leg, and return its Python."""
    folder = ROOT / f".venv-{leg}"
    python = folder / "bin" / "python"
    if not python.exists():
        say(f"{leg}: new environment in {folder.name}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        inside = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        )
        pinned = Path(inside.stdout.strip()) / "pinned.pth"
        pinned.write_text(sysconfig.get_path("purelib") + "\n")
    upgrade = [] if leg == "oldest" else ["--upgrade"]
    keep = f"torch=={version(Path(sys.executable), 'torch').partition('+')[0]}"
    subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *upgrade, *LEGS[leg], keep],
        check=True,
    )
    return python


def version(python: Path, name: str) -> str:
    """Return the version of a package that a Python imports, or an empty string."""
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def run(leg: str, jobs: int) -> dict:
    """Run the tests of a leg and return what ran."""
    python = make(leg)
    versions = {name: version(python, name) for name in NAMES}
    say(f"{leg}: " + ", ".join(f"{name} {number}" for name, number in versions.items()))
    started = time.monotonic()
    command = [python, "-m", "pytest", "-q", "-n", str(jobs), "-p", "no:cacheprovider", "-W", "ignore"]
    command += [f"tests/test_{name}.py" for name in TESTS]
    command += ["tests/faults/test_resuming.py"]  # what Trainer leaves behind
    command += [] if leg == "oldest" else ["tests/company"]  # hooks, offload, adapters: with the newest of each
    environment = {**os.environ, "LONGSUM_LEG": leg, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    closing = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()[-300:]]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", closing[0])}
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-60:]))
    say(f"{leg}: {closing[0]}")
    return {
        "leg": leg,
        "python": "{}.{}".format(*sys.version_info),
        **versions,
        "passed": counts.get("passed", 0),
        "failed": counts.get("failed", 0) + counts.get("error", 0) + (1 if done.returncode and not counts else 0),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "date": time.strftime("%Y-%m-%d"),
    }


def table(rows: list[dict]) -> str:
    """Return README's table of the versions that ran."""
    lines = [
        "| leg | Python | torch | transformers | hub | accelerate | peft | tests |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        fields = ("leg", "python", "torch", "transformers", "huggingface_hub", "accelerate", "peft")
        lines.append("| " + " | ".join(str(row[field]) for field in fields) + f" | {row['passed']:,} passed |")
    return "\n".join(lines)


def record(rows: list[dict]) -> None:
    """Write what ran, and README's table from it; a leg that failed is not recorded."""
    bad = [row["leg"] for row in rows if row["failed"]]
    if bad:
        raise SystemExit(f"versions: not recorded, since these failed: {', '.join(bad)}")
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(), rows))


def with_table(text: str, rows: list[dict]) -> str:
    """Return README's text with the table of the rows between its marks."""
    marks = r"(<!-- versions:begin -->\n).*?(<!-- versions:end -->)"
    return re.sub(marks, lambda m: m[1] + table(rows) + "\n" + m[2], text, flags=re.DOTALL)


def say(text: str) -> None:
    """Print a line at once."""
    print(f"versions: {text}", flush=True)


def main() -> int:
    """Run the legs that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("legs", nargs="*", choices=[*LEGS, []], default=[], help="which legs; default: oldest newest")
    parser.add_argument("--record", action="store_true", help="write what ran into the results and README")
    parser.add_argument("--jobs", type=int, default=2, help="test processes at a time")
    options = parser.parse_args()
    rows = [run(leg, options.jobs) for leg in options.legs or ("oldest", "newest")]
    if options.record:
        record(rows)
    return 1 if any(row["failed"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
