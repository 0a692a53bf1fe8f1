#!/usr/bin/env bash
# aioprometheus: labels and help texts are written as they are, so that others read other values, or nothing.
#
# Expected: in label values a backslash is written as \\, a quote as \" and a line feed as \n; in HELP lines backslash
# and line feed likewise (Prometheus, Exposition formats, text-based format).
# Seen: the label C:\new is written as it is, and read by prometheus-client as C:, a line feed and ew: another series.
# A label with a quote, or a help text of two lines, makes the whole page unreadable for a strict reader.
#
# Versions: aioprometheus 23.12.0 with prometheus-client 0.26.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aioprometheus==23.12.0 prometheus-client==0.26.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from aioprometheus import Gauge, Registry
from aioprometheus.formats import text
from prometheus_client import CollectorRegistry
from prometheus_client import Gauge as OtherGauge
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families


def read(page):
    try:
        return [sample.labels["path"] for family in text_string_to_metric_families(page) for sample in family.samples]
    except ValueError as error:
        return type(error).__name__


print("aioprometheus", version("aioprometheus"), "prometheus-client", version("prometheus-client"))
seen = []
for help_text, label in (("Bytes.", "C:\\new"), ("Bytes.", 'the "new" disk'), ("Bytes used\nand free.", "/")):
    registry = Registry()
    gauge = Gauge("disk_bytes", help_text, registry=registry)
    gauge.set({"path": label}, 1)
    page = text.TextFormatter().marshall(registry).decode()

    other_registry = CollectorRegistry()
    OtherGauge("disk_bytes", help_text, ["path"], registry=other_registry).labels(label).set(1)
    assert read(generate_latest(other_registry).decode()) == [label]
    seen.append(read(page))
    print(f"help {help_text!r}, label {label!r}: written {page.splitlines()[-1]}, read {seen[-1]!r}")

if seen != [["C:\new"], "ValueError", "ValueError"]:
    sys.exit("changed: labels or help texts are written in another way")
PYTHON
venv/bin/python run.py
