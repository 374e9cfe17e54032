"""A process that downloads what it is told to on standard input, and says what came of it, a line of JSON each.

The hub's client settles where its hub is when it is imported, so that it cannot be tried in the process of the tests.
"""

import json
import sys
import time
import warnings

from huggingface_hub import constants

from longsum_lib.errors import LongsumError, LongsumWarning
from longsum_lib.loading import hub, hub_files

real_sleep = time.sleep
slept = []


def short_sleep(seconds):
    """Pauses are noted, and are a hundredth as long."""
    slept.append(seconds)
    real_sleep(seconds / 100)


time.sleep = short_sleep
hub_files.SMALL = 1000  # so that the tests' weights are large
constants.DOWNLOAD_CHUNK_SIZE = 4096  # and come in pieces


def try_out(options):
    slept.clear()
    started = time.monotonic()
    said = {"kind": "works"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            said["folder"] = str(hub.download("someone/model", **options))
        except LongsumError as error:
            said |= {"kind": "refused", "message": str(error), "error": type(error).__name__}
        except Exception as error:
            said |= {"kind": "raw", "message": f"{type(error).__name__}: {error}"}
    said["warnings"] = [str(one.message) for one in caught if issubclass(one.category, LongsumWarning)]
    return said | {"slept": list(slept), "seconds": time.monotonic() - started}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(try_out(json.loads(line))), flush=True)
