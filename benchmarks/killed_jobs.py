"""Many documents, some of them broken, by a command that is killed again and again: nothing is lost, nothing is twice.

``python -m benchmarks.killed_jobs FOLDER`` makes 500 documents of all kinds that can be read, 5 % of them broken, runs
``longsum summarize`` on them once without interruption and once killed (SIGKILL, at random times) 20 times and resumed,
compares the results, and writes ``results/killed_jobs.json``. A small version of it is a test.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from longsum_lib.corpus import make_document

from . import machine

ROOT = Path(__file__).resolve().parents[1]
SHARE_BROKEN = 0.05
WRITING = ("--max-new-tokens", "24", "--model", "led-tiny")
_DOCX = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{}</w:body></w:document>'
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override '
    'PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.'
    'document.main+xml"/></Types>'
)
_BROKEN = {
    "pdf": b"%PDF-1.7\nnothing of a document",
    "txt": b"",
    "docx": b"PK\x03\x04 cut off",
    "md": b"\x89PNG\r\n\x1a\n",
    "html": b"\xff\xfe\x00",
}


def make_documents(folder: Path, count: int, seed: int = 1) -> None:
    """Make documents of mixed length and kind below a folder; every twentieth one is broken, some are equal."""
    chosen = random.Random(seed)
    rows: dict[str, list[tuple[str, str]]] = {"jsonl": [], "csv": []}
    kinds = ("txt", "md", "html", "docx", "jsonl", "csv")
    broken = set(range(0, count, round(1 / SHARE_BROKEN)))
    folder.mkdir(parents=True)
    for number in range(count):
        place = folder / f"{number % 7}"
        place.mkdir(exist_ok=True)
        if number in broken:
            kind = chosen.choice(list(_BROKEN))
            (place / f"{number:04}.{kind}").write_bytes(_BROKEN[kind])
            continue
        same = number % 50 == 1 and number > 50  # equal to the document fifty before
        length = chosen.choice([96, 128, 256, 512, 1024])
        text = make_document(seed=number - 50 if same else number, length=96 if number % 50 == 1 else length).text
        kind = chosen.choice(kinds)
        if kind in rows:
            rows[kind].append((f"{number:04}", text))
        else:
            _write(place / f"{number:04}.{kind}", kind, text)
    (folder / "rows.jsonl").write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in rows["jsonl"]))
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text"), *rows["csv"]])


def _write(path: Path, kind: str, text: str) -> None:
    paragraphs = text.split("\n\n")
    if kind == "docx":
        inner = "".join(f"<w:p><w:r><w:t>{part}</w:t></w:r></w:p>" for part in paragraphs)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("[Content_Types].xml", _TYPES)
            archive.writestr("word/document.xml", _DOCX.format(inner))
    elif kind == "html":
        path.write_text("<html><body>" + "".join(f"<p>{part}</p>" for part in paragraphs) + "</body></html>")
    else:
        path.write_text(text)


def command(source: Path, into: Path, *options: str) -> list[str]:
    """Return the command line of a job."""
    writing = () if "--model" in options else WRITING
    return [sys.executable, "-m", "longsum_lib", "summarize", str(source), "--into", str(into), *writing, *options]


def run_job(source: Path, into: Path, *options: str) -> int:
    """Run a job to its end; return its exit code."""
    return subprocess.run(command(source, into, *options), cwd=ROOT, stderr=subprocess.DEVNULL).returncode


def run_killed(source: Path, into: Path, kills: int, *options: str, seed: int = 1) -> dict[str, int]:
    """Run a job that is killed after some summaries, each time it is resumed, and let it end at last.

    Returns:
        How often it was killed, how many documents were computed in all, and the last exit code.
    """
    chosen, killed = random.Random(seed), 0
    journal = into.with_name(into.name + ".journal")
    while killed < kills:
        before = _lines(journal)
        job = subprocess.Popen(command(source, into, "--resume", *options), cwd=ROOT, stderr=subprocess.DEVNULL)
        wanted = before + chosen.randint(1, 20)
        while job.poll() is None and _lines(journal) < wanted:
            time.sleep(0.02)
        time.sleep(chosen.random() * 0.05)
        if job.poll() is not None:  # it had less to do than that
            break
        job.kill()
        job.wait()
        killed += 1
    code = run_job(source, into, "--resume", *options)
    computed = sum(b'"key"' in line for line in journal.read_bytes().splitlines())
    return {"kills": killed, "rows_in_journal": computed, "exit_code": code}


def _lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def rows_of(path: Path) -> list[dict[str, object]]:
    """Read a result, without scores: their last digits depend on which documents are written together."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name != "score"} for row in rows]


def main() -> None:
    """Run it and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    source = given.folder / "in"
    make_documents(source, given.documents)
    whole = run_job(source, given.folder / "whole.jsonl")
    found = run_killed(source, given.folder / "killed.jsonl", given.kills)
    straight, killed = rows_of(given.folder / "whole.jsonl"), rows_of(given.folder / "killed.jsonl")
    ids = [row["id"] for row in killed]
    result = {
        "title": "Killed and resumed",
        "versions": machine.versions(),
        "note": "Documents of all kinds, 5 % broken, by a command that is killed at random times and resumed.",
        "made_by": "python -m benchmarks.killed_jobs FOLDER",
        "documents": given.documents,
        "exit_code_without_kills": whole,
        **found,
        "summaries": sum(row["summary"] is not None for row in killed),
        "named_errors": sum(row["error"] is not None for row in killed),
        "lost": len({row["id"] for row in straight} - set(ids)),
        "ids_twice": len(ids) - len(set(ids)),
        "equal_to_the_run_without_kills": straight == killed,
    }
    text = json.dumps(result, indent=1)
    (ROOT / "benchmarks" / "results" / "killed_jobs.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
