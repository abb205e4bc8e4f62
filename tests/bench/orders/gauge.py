"""Asks the box how many orders wait until none does, and prints what it saw: monotonic seconds and orders left.

python -m tests.bench.orders.gauge --url 127.0.0.1:9090/status.json
"""

import argparse
import http.client
import json
import time

EVERY_S = 0.5


def main() -> None:
    """Ask until nothing waits."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    host, _, path = parser.parse_args().url.partition("/")
    print("ready", flush=True)
    seen = []
    left = 1
    while left:
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", f"/{path}")
        told = json.loads(connection.getresponse().read())
        connection.close()
        market = told["market"]
        left = market["journal"]["waiting"]
        seen.append((time.monotonic(), left, market["drain"]["batches"], market["drain"]["failures"]))
        time.sleep(EVERY_S)
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
