"""Gathers what criterion has just measured into one JSON file, and prints it as a table.

    parts_json.py CRITERION_FOLDER OUT.json

A part's figures are its median and its 95 % interval in milliseconds, and its ratio to a copy of one 1280×720 colour
picture in the same run, since machines differ.
"""

import json
import sys
from pathlib import Path

COPY = "wire/copy_2.76_MB"


def main() -> int:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    parts = {}
    for estimates in sorted(folder.glob("*/*/new/estimates.json")):
        name = json.loads((estimates.parent / "benchmark.json").read_text())["full_id"]
        median = json.loads(estimates.read_text())["median"]
        interval = median["confidence_interval"]
        ms = [value / 1e6 for value in (median["point_estimate"], interval["lower_bound"], interval["upper_bound"])]
        parts[name] = {"median_ms": ms[0], "interval_ms": ms[1:]}
    if COPY not in parts:
        print(f"{folder} holds no `{COPY}`: run the benchmark `parts` first", file=sys.stderr)
        return 1
    for part in parts.values():
        part["copies"] = part["median_ms"] / parts[COPY]["median_ms"]
    out.write_text(json.dumps(parts, indent=2) + "\n")
    for name, part in parts.items():
        low, high = part["interval_ms"]
        print(f"{name:44} {part['median_ms']:10.3f} ms  ({low:.3f} … {high:.3f})  {part['copies']:9.1f} copies")
    return 0


if __name__ == "__main__":
    sys.exit(main())
