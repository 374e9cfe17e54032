"""The hub with forty things that go wrong, played by a real server; nothing is lost, nothing wrong is kept."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_server import COMMIT, Answer, Hub, etag_of

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
FILES = {
    "config.json": b'{"model_type": "led"}\n',
    "generation_config.json": b"{}\n",
    "tokenizer.json": b'{"version": "1.0"}\n' * 20,
    "model.safetensors": bytes(range(256)) * 400,
    "README.md": b"A model.\n",
    "modeling_own.py": b"raise AssertionError\n",
    "onnx/model.onnx": b"no",
}
WANTED = {"config.json", "generation_config.json", "tokenizer.json", "model.safetensors"}
WEIGHTS = FILES["model.safetensors"]
PAGE = b"<html><body>Please log in to this network.</body></html>"


class Worker:
    """A process of its own with the client; its hub is at ``address``, its cache below ``home``."""

    def __init__(self, address, home, **environment):
        plain = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        own = {
            "HF_ENDPOINT": address,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "PYTHONPATH": str(ROOT),
        }
        own |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "2"}
        self.errors = home / "stderr.txt"
        home.mkdir(parents=True, exist_ok=True)
        with self.errors.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(FOLDER / "hub_worker.py")],
                env=plain | own | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def __call__(self, **options):
        self.process.stdin.write(json.dumps(options) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def hub():
    with Hub(dict(FILES)) as served:
        yield served


@pytest.fixture(scope="module")
def worker(hub, tmp_path_factory):
    made = Worker(hub.address, tmp_path_factory.mktemp("home"))
    yield made
    made.close()
    assert made.errors.read_text() == ""  # no line of another library


@pytest.fixture
def cache(hub, tmp_path):
    hub.reset()
    hub.files = dict(FILES)
    return str(tmp_path / "cache")


def contents(result):
    return {path.name: path.read_bytes() for path in Path(result["folder"]).iterdir()}


def on(kind, answer, file="", times=10**9):
    """A fault that answers requests of a kind, the first ``times`` of each file, in another way."""

    def fault(request, right):
        if request.kind != kind or (file and request.file != file) or request.count > times:
            return right
        return answer(right) if callable(answer) else answer

    return fault


def both(*faults):
    def fault(request, right):
        for each in faults:
            right = each(request, right)
        return right

    return fault


def without(*names):
    def answer(right):
        right.headers = {name: value for name, value in right.headers.items() if name not in names}
        return right

    return answer


def listing(change):
    """The answer to the first question with its JSON changed."""

    def answer(right):
        content = json.loads(right.body)
        return Answer(headers=right.headers, body=json.dumps(change(content)).encode())

    return answer


def body(content, announced=None, breaks=False):
    def answer(right):
        sent = content(right.body) if callable(content) else content
        return Answer(
            right.status, right.headers, sent, announced(len(right.body)) if announced else None, breaks=breaks
        )

    return answer


def status(code, **headers):
    return Answer(code, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def stalled(right):
    right.stall = 3.0
    return right


W = "model.safetensors"
wrong = bytes(len(WEIGHTS))
# name -> (what goes wrong, what comes of it: "works", or a part of the message)
FAULTS = {
    "nothing": (None, "works"),
    "api 500 for ever": (on("api", status(500)), "does not answer as it should (it says 500)"),
    "api 502 once": (on("api", status(502), times=1), "works"),
    "api 503 twice": (on("api", status(503), times=2), "works"),
    "api 503 for ever": (on("api", status(503)), "it says 503"),
    "api 504 once": (on("api", status(504), times=1), "works"),
    "api 429 once, Retry-After 2": (on("api", status(429, Retry_After="2"), times=1), "works"),
    "api 429 for ever": (on("api", status(429)), "it says 429"),
    "api 401 bad token": (on("api", status(401)), "check the token"),
    "api 401 unknown": (on("api", status(401, X_Error_Code="RepoNotFound")), "no public model of that name"),
    "api 403 gated": (on("api", status(403, X_Error_Code="GatedRepo")), "accept them on its page"),
    "api 404 unknown": (on("api", status(404, X_Error_Code="RepoNotFound")), "no public model of that name"),
    "api 404 revision": (on("api", status(404, X_Error_Code="RevisionNotFound")), "has no revision"),
    "api page": (on("api", Answer(200, {"Content-Type": "text/html"}, PAGE)), "log-in page in between"),
    "api empty": (on("api", Answer(200, {"Content-Type": "application/json"}, b"")), "log-in page in between"),
    "api cut": (on("api", body(lambda right: right[:50])), "log-in page in between"),
    "api list": (on("api", Answer(200, {}, b"[1, 2]")), "log-in page in between"),
    "api without files": (on("api", listing(lambda found: {**found, "siblings": None})), "names no files"),
    "api without commit": (on("api", listing(lambda found: {**found, "sha": None})), "works"),
    "api without sizes": (
        on("api", listing(lambda f: {**f, "siblings": [{"rfilename": s["rfilename"]} for s in f["siblings"]]})),
        "works",
    ),
    "api names a path": (
        on("api", listing(lambda f: {**f, "siblings": [*f["siblings"], {"rfilename": "../x.json"}]})),
        "works",
    ),
    "api without weights": (
        on("api", listing(lambda f: {**f, "siblings": [s for s in f["siblings"] if s["rfilename"] != W]})),
        "no weights for PyTorch",
    ),
    "api breaks off once": (on("api", Answer(breaks=True), times=1), "works"),
    "api breaks off": (on("api", Answer(breaks=True)), "the hub cannot be asked"),
    "api is slow": (on("api", stalled), "works"),
    "file 404": (on("head", status(404, X_Error_Code="EntryNotFound"), W), "names a file that it does not have"),
    "file 403": (on("file", status(403), W), "check the token"),
    "file 500": (on("file", status(500), W), "it says 500"),
    "file 503 once": (on("file", status(503), W, times=1), "it says 503"),
    "file 429 once": (on("file", status(429, Retry_After="1"), W, times=1), "works"),
    "file breaks off once": (on("file", body(lambda r: r[:5000], lambda n: n, True), W, times=1), "works"),
    "file breaks off": (on("file", body(lambda r: r[: len(r) // 3], lambda n: n, True), W), None),
    "file stalls once": (on("file", stalled, W, times=1), "works"),
    "file ignores ranges": (
        both(on("file", body(lambda r: r[:5000], lambda n: n, True), W, times=1), lambda q, a: _whole(q, a)),
        "works",
    ),
    "file too short": (on("file", body(lambda r: r[:900]), W), None),
    "file too long": (on("file", body(lambda r: r + b"more"), W), None),
    "weights with other bytes": (on("file", body(wrong), W), "nothing of it is kept"),
    "weights with other bytes once": (on("file", body(wrong), W, times=1), "works"),
    "config is another": (on("file", body(lambda r: b"x" * len(r)), "config.json"), "nothing of it is kept"),
    "config is a page": (on("file", body(PAGE), "config.json"), None),
    "no etag": (on("head", without("ETag", "X-Linked-Etag")), None),
    "no commit": (on("head", without("X-Repo-Commit")), None),
    "another etag": (on("head", lambda r: _with(r, ETag='"zz"'), "config.json"), "works"),
}


def _with(answer, **headers):
    answer.headers |= headers
    return answer


def _whole(request, answer):
    return Answer(200, answer.headers, WEIGHTS) if request.range and request.file == W else answer


def test_there_are_forty():
    assert len(FAULTS) > 40


@pytest.mark.parametrize("name", list(FAULTS))
def test_each_fault_is_one_line_and_leaves_nothing_wrong(hub, worker, cache, name):
    fault, expected = FAULTS[name]
    hub.reset(fault)
    result = worker(cache_dir=cache)
    if expected == "works" or (expected is None and result["kind"] == "works"):
        assert result["kind"] == "works", result
        assert contents(result) == {file: FILES[file] for file in WANTED}
    else:
        assert result["kind"] == "refused", result
        assert expected is None or expected in result["message"]
        assert "\n" not in result["message"]
    assert len(hub.asked) < 40
    hub.reset()
    mended = worker(cache_dir=cache)
    assert mended["kind"] == "works"
    assert contents(mended) == {file: FILES[file] for file in WANTED}


OFFLINE = {
    "local_files_only": ({"local_files_only": True}, None),
    "500": ({}, on("api", status(500))),
    "429": ({}, on("api", status(429, Retry_After="40"))),
    "401": ({}, on("api", status(401))),
    "401 unknown": ({}, on("api", status(401, X_Error_Code="RepoNotFound"))),
    "403 gated": ({}, on("api", status(403, X_Error_Code="GatedRepo"))),
    "captive portal": ({}, on("api", Answer(200, {"Content-Type": "text/html"}, PAGE))),
    "breaks off": ({}, on("api", Answer(breaks=True))),
    "files break off": ({}, both(on("head", Answer(breaks=True)), on("file", Answer(breaks=True)))),
}


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("name", list(OFFLINE))
def test_what_was_downloaded_once_is_there(hub, worker, cache, name, weights):
    first = worker(cache_dir=cache)
    options, fault = OFFLINE[name]
    hub.reset(fault)
    again = worker(cache_dir=cache, weights=weights, **options)
    assert (again["kind"], again.get("folder")) == ("works", first["folder"]), again
    assert again["slept"] == []
    assert len(hub.asked) <= 1
    told = name not in ("local_files_only", "breaks off", "files break off")
    assert bool(again["warnings"]) == told
    assert all("the copy in the cache is used" in warning for warning in again["warnings"])


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_offline_mode_and_no_network(hub, worker, cache, tmp_path, environment):
    first = worker(cache_dir=cache)
    other = Worker(hub.address, tmp_path / "home", **environment)
    hub.reset()
    found, absent = other(cache_dir=cache), other(cache_dir=cache + "-empty")
    other.close()
    assert found["folder"] == first["folder"]
    assert absent["error"] == "NoNetwork"
    assert hub.asked == []
    assert other.errors.read_text() == ""


def test_a_part_of_a_model_is_no_model(hub, worker, cache):
    worker(cache_dir=cache, weights=False)
    result = worker(cache_dir=cache, local_files_only=True)
    assert "only a part of it is in the cache" in result["message"]
    assert worker(cache_dir=cache, local_files_only=True, weights=False)["kind"] == "works"


def test_the_pauses_grow_and_the_hub_may_set_them(hub, worker, cache):
    hub.reset(on("api", status(503)))
    assert worker(cache_dir=cache)["slept"] == [1.0, 2.0, 4.0]
    hub.reset(on("api", status(429, Retry_After="9"), times=1))
    result = worker(cache_dir=cache)
    assert (result["kind"], result["slept"]) == ("works", [9.0])
    assert "asks to wait 9 seconds" in result["warnings"][0]
    hub.reset(on("api", status(429, Retry_After="4000")))
    shutil.rmtree(cache)
    assert worker(cache_dir=cache)["slept"] == []


def test_only_what_is_needed_is_asked_for_and_nothing_twice(hub, worker, cache):
    worker(cache_dir=cache)
    assert {request.file for request in hub.asked if request.kind == "file"} == WANTED
    hub.reset()
    worker(cache_dir=cache)
    assert [request.kind for request in hub.asked] == ["api"]


def test_a_new_version_is_fetched_and_the_old_one_stays(hub, worker, cache):
    old = worker(cache_dir=cache)
    hub.files = {**FILES, "config.json": b'{"model_type": "longt5"}\n'}
    moved = "2" * 40
    hub.reset(both(on("api", listing(lambda f: {**f, "sha": moved})), lambda q, a: _moved(q, a, moved)))
    new = worker(cache_dir=cache)
    assert contents(new)["config.json"] == hub.files["config.json"]
    assert contents(old)["config.json"] == FILES["config.json"]
    assert worker(cache_dir=cache, local_files_only=True)["folder"] == new["folder"]
    assert worker(cache_dir=cache, local_files_only=True, revision=COMMIT)["folder"] == old["folder"]


def _moved(request, answer, commit):
    return answer if request.kind == "api" else _with(answer, **{"X-Repo-Commit": commit})


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_what_is_wrong_in_the_cache_is_fetched_again(hub, worker, cache, file):
    first = worker(cache_dir=cache)
    path = Path(first["folder"], file).resolve()
    path.write_bytes(path.read_bytes()[:-1] + (b"" if file == W else b"x"))
    assert contents(worker(cache_dir=cache)) == {name: FILES[name] for name in WANTED}


def test_an_interrupted_download_goes_on_in_the_next_process(hub, worker, cache, tmp_path):
    hub.reset(on("file", lambda right: _slow(right, 30.0), W))
    other = Worker(hub.address, tmp_path / "home")
    other.process.stdin.write(json.dumps({"cache_dir": cache}) + "\n")
    other.process.stdin.flush()
    part = Path(cache, "models--someone--model", "blobs", etag_of(W, WEIGHTS) + ".part")
    for _ in range(600):
        if part.exists() and part.stat().st_size:
            break
        time.sleep(0.05)
    other.process.kill()
    other.process.wait()
    other.process.stdin.close()
    other.process.stdout.close()
    have = part.stat().st_size
    hub.reset()
    assert contents(worker(cache_dir=cache)) == {name: FILES[name] for name in WANTED}
    assert [request.range for request in hub.asked if request.file == W and request.kind == "file"] == [
        f"bytes={have}-"
    ]
    assert not part.exists()


def _slow(answer, seconds):
    answer.stall = seconds
    return answer
