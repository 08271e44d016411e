"""What a Rerun recording holds, read by PyPI `rerun-sdk`: prints `entity<TAB>rows` lines, then `blueprints<TAB>n`.

    rrd_entities.py FILE
"""

import sys
from collections import Counter

from rerun.experimental import RrdReader


def main() -> None:
    reader = RrdReader(sys.argv[1])
    rows: Counter[str] = Counter()
    for chunk in reader.stream():
        rows[str(chunk.entity_path)] += chunk.num_rows
    for entity, count in sorted(rows.items()):
        print(f"{entity}\t{count}")
    print(f"blueprints\t{len(reader.blueprints())}")


if __name__ == "__main__":
    main()
