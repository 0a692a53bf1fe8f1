#!/usr/bin/env python3
"""The medians of all measured moves: JSON, CSV, an HTML page, plots, and a Markdown table, printed, too."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.moves import cells, page


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "directory", type=Path, help="holds runs/*.json; the results are written beside them"
    )
    directory: Path = options.parse_args().directory
    runs = [json.loads(path.read_text()) for path in sorted((directory / "runs").glob("*.json"))]
    rows = cells.medians(runs)
    (directory / "results.json").write_text(json.dumps(rows, indent=2) + "\n")
    with (directory / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    table = cells.markdown(rows)
    (directory / "results.md").write_text(table + "\n" + cells.grid(rows))
    (directory / "index.html").write_text(page.page(rows))
    for name, spec in (("downtime", page.CHARTS[0]), ("bytes", page.CHARTS[2])):
        (directory / f"{name}.svg").write_text(page.overview(rows, *spec) + "\n")
    print(table)
    for key in ("downtime_ms", "wire_bytes"):
        for sentence in cells.worse_than_a_peer(rows, key):
            print(f"more than a peer: {sentence}")


if __name__ == "__main__":
    main()
