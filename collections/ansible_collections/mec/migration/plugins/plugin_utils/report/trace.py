# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration as an OpenTelemetry trace: a span for it, one for each phase, round and the frozen window.

The spans are made afterwards, from the report, so nothing of OpenTelemetry is on a migration's way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import DecisionError

REMEDY = (
    "traces need OpenTelemetry on the controller: python3 -m pip install opentelemetry-sdk "
    "opentelemetry-exporter-otlp-proto-http"
)
SERVICE_NAME = "mec.migration"
# Of the phase in which rounds, and the window, happened; see migration_report.clock_of.
PRE_COPY, HAND_OVER = "pre-copy", "hand over"


@dataclass
class Span:
    """``started`` and ``ended`` in seconds since the epoch. ``error``: why it failed, or an empty string."""

    name: str
    started: float
    ended: float
    attributes: dict[str, str | int | float] = field(default_factory=dict)
    children: list[Span] = field(default_factory=list)
    error: str = ""


def span_of(report: Mapping[str, Any], why: str = "") -> Span:
    """The trace of a migration.

    :param report: of the filter ``migration_report``; what it lacks of a failed migration has no span.
    :param why: why it failed, or an empty string.
    """
    attributes = {
        f"mec.migration.{name}": report[key]
        for name, key in (
            ("id", "migration_id"),
            ("service", "service"),
            ("source", "source"),
            ("target", "target"),
            ("tracker", "tracker"),
            ("stop_reason", "stop_reason"),
            ("sent_bytes", "total_bytes"),
            ("memory_bytes", "memory_bytes"),
            ("frozen_ms", "frozen_ms"),
            ("moves_at_once", "moves_at_once"),
            ("failed_task", "failed_task"),
        )
        if report.get(key) is not None
    }
    whole = Span(
        f"migrate {report['service']}",
        float(report["started"]),
        float(report["ended"]),
        attributes,
        error=why,
    )
    for phase in report["phases"]:
        sent = {"mec.migration.sent_bytes": int(phase["bytes"])} if phase.get("bytes") else {}
        span = Span(str(phase["phase"]), float(phase["started"]), float(phase["ended"]), dict(sent))
        whole.children.append(span)
    by_name = {span.name: span for span in whole.children}
    if why and whole.children:
        whole.children[-1].error = why
    window = report.get("window")
    for number, done in enumerate(report.get("rounds", []), 1):
        _below(by_name, whole, done, f"round {done.get('round', number)}", window)
    if window and HAND_OVER in by_name:
        started = float(window["started"])
        frozen = Span("frozen", started, started + float(report["frozen_ms"]) / 1000)
        frozen.attributes = {
            f"mec.migration.{key}": window[key] for key in sorted(window) if _figure(window[key])
        }
        by_name[HAND_OVER].children.append(frozen)
    return whole


def _below(by_name: Mapping[str, Span], whole: Span, done: Mapping[str, Any], name: str, window: Any) -> None:
    started, seconds = float(done["started"]), float(done["seconds"])
    span = Span(name, started, started + seconds)
    span.attributes = {f"mec.migration.{key}": done[key] for key in sorted(done) if _figure(done[key])}
    phases = [by_name[one] for one in (PRE_COPY, HAND_OVER) if one in by_name]
    # Clocks are told apart to some milliseconds; the phase that it overlaps most is the one.
    parent = max(
        phases, key=lambda one: min(one.ended, span.ended) - max(one.started, started), default=whole
    )
    parent.children.append(span)


def _figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def export(span: Span, exporter: Any = None) -> str:
    """Send the trace of *span*; its id, 32 hexadecimal digits.

    :param exporter: a ``SpanExporter``; if it is left out one that speaks OTLP over HTTP, to where the
        standard variables of the environment (``OTEL_EXPORTER_OTLP_ENDPOINT`` and others) say.
    :raises DecisionError: OpenTelemetry is not there, or nobody takes the trace.
    """
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult  # noqa: PLC0415
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: PLC0415
            InMemorySpanExporter,
        )

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )

            exporter = OTLPSpanExporter()
    except ImportError as error:
        raise DecisionError(f"{REMEDY} ({error})") from error
    # Spans are kept and sent in one request, whose outcome is then known.
    kept = InMemorySpanExporter()
    resource = Resource.create()
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come before.
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": SERVICE_NAME}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    try:
        trace_id = _make(provider.get_tracer(SERVICE_NAME), span, None)
        spans: Sequence[Any] = kept.get_finished_spans()
        if exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise DecisionError("nobody took the trace; see OTEL_EXPORTER_OTLP_ENDPOINT and what was logged")
    finally:
        exporter.shutdown()
        provider.shutdown()
    return trace_id


def _make(tracer: Any, span: Span, parent: Any) -> str:
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import Status, StatusCode, set_span_in_context  # noqa: PLC0415

    # An empty context, lest the caller's span becomes the parent: each migration is a trace of its own.
    context = Context() if parent is None else set_span_in_context(parent, Context())
    made = tracer.start_span(
        span.name, context=context, start_time=_ns(span.started), attributes=span.attributes
    )
    for child in span.children:
        _make(tracer, child, made)
    if span.error:
        made.set_status(Status(StatusCode.ERROR, span.error))
    made.end(_ns(span.ended))
    return f"{made.get_span_context().trace_id:032x}"


def _ns(moment_s: float) -> int:
    return round(moment_s * 1e9)
