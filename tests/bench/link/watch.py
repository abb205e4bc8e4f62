"""Asks the box how it is, twice a second, and writes down what it says of its link.

python -m tests.bench.link.watch --url 127.0.0.1:9090/status.json --out watch.jsonl
"""

import argparse
import http.client
import json
import time
from contextlib import suppress
from pathlib import Path

EVERY_S = 0.5


def main() -> None:
    """Ask until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    host, _, path = options.url.partition("/")
    with Path(options.out).open("w", buffering=1, encoding="utf-8") as out:
        while True:
            with suppress(OSError, ValueError, http.client.HTTPException):
                connection = http.client.HTTPConnection(host, timeout=2)
                connection.request("GET", f"/{path}")
                told = json.loads(connection.getresponse().read())
                connection.close()
                out.write(json.dumps({"at_s": time.monotonic(), "link": told.get("link")}) + "\n")
            time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
