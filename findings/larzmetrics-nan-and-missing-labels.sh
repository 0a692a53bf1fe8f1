#!/usr/bin/env bash
# larzmetrics: one NaN or +Inf makes the page of all metrics fail, and a metric with labels has a sample without them.
#
# Expected: render() writes the Prometheus text format, in which NaN, +Inf and -Inf are values, and histograms always
# have the bucket +Inf (Prometheus, "Exposition formats", comments and histograms). Labels work "exactly like the
# Prometheus client" (README), where a metric with labels has no sample until a set of labels is used.
# Seen: render() raises ValueError for NaN and OverflowError for an infinite gauge or bucket, so that no metric is
# exposed. A counter with labels begins with a sample without labels, "requests_total 0", which is gone as soon as the
# first label is used; prometheus-client exposes none. inc() without the labels is no error and counts for itself.
#
# Versions: larzmetrics 0.1.0 with prometheus-client 0.26.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check larzmetrics==0.1.0 prometheus-client==0.26.0
echo "larzmetrics 0.1.0, prometheus-client 0.26.0, $(python3 --version)"
cat >run.py <<'PYTHON'
from larzmetrics import Registry
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


def samples(registry):
    text = registry.render() if isinstance(registry, Registry) else generate_latest(registry).decode()
    return [line for line in text.splitlines() if not line.startswith("#") and "_created" not in line]


for value in (float("nan"), float("inf")):
    registry, official = Registry(), CollectorRegistry()
    registry.gauge("rate").set(value)
    Gauge("rate", "", registry=official).set(value)
    try:
        print(samples(registry))
    except Exception as error:
        print(f"{value}: {type(error).__name__}, by prometheus-client {samples(official)}")
registry = Registry()
registry.histogram("seconds", buckets=(1, float("inf"))).observe(2)
try:
    print(samples(registry))
except Exception as error:
    print("bucket inf:", type(error).__name__)
registry, official = Registry(), CollectorRegistry()
counter = registry.counter("requests_total", labelnames=["method"])
Counter("requests_total", "", ["method"], registry=official)
print("unused labels:", samples(registry), "by prometheus-client", samples(official))
counter.labels(method="GET").inc()
print("labels used:", samples(registry))
counter.inc()
print("labels forgotten:", samples(registry))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'nan: ValueError, by prometheus-client ['\''rate NaN'\'']
inf: OverflowError, by prometheus-client ['\''rate +Inf'\'']
bucket inf: OverflowError
unused labels: ['\''requests_total 0'\''] by prometheus-client []
labels used: ['\''requests_total{method="GET"} 1'\'']
labels forgotten: ['\''requests_total{method="GET"} 1'\'', '\''requests_total 1'\'']' ]; then
    echo "changed: values are written in another way" >&2
    exit 1
fi
