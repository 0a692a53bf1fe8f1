#!/usr/bin/env bash
# otlp-json: servers become internal, clients servers, producers clients, and links are left out.
#
# Expected: encode_spans() "serialises a bunch of spans into OTLP 1.5 JSON" (README). In OTLP 0 is no kind, 1 internal,
# 2 server, 3 client, 4 producer and 5 consumer (opentelemetry-proto, trace.proto), while the SpanKind of the Python
# API begins with internal as 0. The official encoder adds 1. A link names another span that caused this one, and is a
# field of the span.
# Seen: the numbers of the API are written as they are, but for 0, which is written as 1. So a consumer is read as a
# producer, and no span is ever a consumer. The links are not written, and no count of dropped links either.
#
# Versions: otlp-json 1.0.1 with opentelemetry-sdk and opentelemetry-exporter-otlp-proto-common 1.45.2, protobuf 7.36.2.
# Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check otlp-json==1.0.1 opentelemetry-sdk==1.45.2 \
    opentelemetry-exporter-otlp-proto-common==1.45.2 protobuf==7.36.2
echo "otlp-json 1.0.1, opentelemetry-sdk 1.45.2, $(python3 --version)"
cat >run.py <<'PYTHON'
import json

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind
from otlp_json import encode_spans

memory = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
tracer = provider.get_tracer("edge")
links = []
for kind in SpanKind:
    with tracer.start_as_current_span(kind.name, kind=kind, links=links) as span:
        links = [Link(span.get_span_context())]
spans = memory.get_finished_spans()
written = json.loads(encode_spans(spans))["resourceSpans"][0]["scopeSpans"][0]["spans"]
right = {span.name: span for span in official(spans).resource_spans[0].scope_spans[0].spans}
for span in written:
    expected = right[span["name"]]
    kinds = [Span.SpanKind.Name(number).removeprefix("SPAN_KIND_") for number in (span["kind"], expected.kind)]
    print(f"{span['name']}: {kinds[0]} with {len(span.get('links', []))} links,",
          f"by the official encoder {kinds[1]} with {len(expected.links)}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'INTERNAL: INTERNAL with 0 links, by the official encoder INTERNAL with 0
SERVER: INTERNAL with 0 links, by the official encoder SERVER with 1
CLIENT: SERVER with 0 links, by the official encoder CLIENT with 1
PRODUCER: CLIENT with 0 links, by the official encoder PRODUCER with 1
CONSUMER: PRODUCER with 0 links, by the official encoder CONSUMER with 1' ]; then
    echo "changed: spans are written in another way" >&2
    exit 1
fi
