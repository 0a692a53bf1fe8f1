"""The end of a service that holds things and tells at SIGUSR1 which of them are as they were."""

import json
import signal
import time
from collections.abc import Callable


def serve(checks: dict[str, Callable[[], object]]) -> None:
    """Print a line of JSON at each SIGUSR1: by each check's name whether it holds, or its error."""

    def look(*_: object) -> None:
        said: dict[str, object] = {}
        for name, check in checks.items():
            try:
                said[name] = bool(check())
            except Exception as error:
                said[name] = repr(error)
        print(json.dumps(said), flush=True)

    signal.signal(signal.SIGUSR1, look)
    print("holds", len(checks), flush=True)
    while True:
        time.sleep(1)
