#!/usr/bin/env bash
# promtext-cli: setting one metric swaps the labels of another one.
#
# Expected: the README says that metrics are merged into existing files. Labels are pairs of name and value, whose order
# means nothing: a metric is known by its name and set of labels (Prometheus, "Data model").
# Seen: of link_up{host="a",port="1"} and link_up{port="2",host="b"} the second becomes link_up{host="2",port="b"} as
# soon as some other metric is set in the file: the values go to the names of the first line in the order in which
# they stand. prometheus-client, which reads the file for it, has them right.
#
# Versions: promtext-cli 0.2.0 with prometheus-client 0.26.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check promtext-cli==0.2.0 prometheus-client==0.26.0
cat >links.prom <<'TEXT'
# TYPE link_up gauge
link_up{host="a",port="1"} 1
link_up{port="2",host="b"} 0
TEXT
cat >run.py <<'PYTHON'
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

for family in text_string_to_metric_families(Path("links.prom").read_text()):
    for sample in family.samples:
        print(sample.name, *(f"{name}={sample.labels[name]}" for name in sorted(sample.labels)), int(sample.value))
PYTHON
before=$(venv/bin/python run.py)
venv/bin/promtext links.prom checked 1
after=$(venv/bin/python run.py)
printf '%s\n' "before:" "$before" "after:" "$after"
if [ "$before" != "link_up host=a port=1 1
link_up host=b port=2 0" ] || [ "$after" != "link_up host=a port=1 1
link_up host=2 port=b 0
checked 1" ]; then
    echo "changed: labels are read or written in another way" >&2
    exit 1
fi
