"""Telemetry to send, and ways to compare what was sent with what arrived."""

from google.protobuf.descriptor import FieldDescriptor as Field
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

# Envelope, scope envelope and items of each signal.
WAYS = {
    ExportTraceServiceRequest: ("resource_spans", "scope_spans", "spans"),
    ExportMetricsServiceRequest: ("resource_metrics", "scope_metrics", "metrics"),
    ExportLogsServiceRequest: ("resource_logs", "scope_logs", "log_records"),
}


def spans(count, first=0, service="shop", padding=0):
    """A request of so many spans; their names are numbers that go on from `first`."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    attribute = resource.resource.attributes.add(key="service.name")
    attribute.value.string_value = service
    scope = resource.scope_spans.add()
    scope.scope.name = "tests"
    for number in range(first, first + count):
        span = scope.spans.add(
            trace_id=(number + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name=str(number),
            kind=2,
            start_time_unix_nano=1_700_000_000_000_000_000 + number,
            end_time_unix_nano=1_700_000_000_000_000_500 + number,
        )
        if padding:
            span.attributes.add(key="padding").value.string_value = "x" * padding
    return request


def span_names(requests):
    return [
        span.name
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def points(count):
    """A request of one gauge with so many data points."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="load")
    for number in range(count):
        metric.gauge.data_points.add(as_int=number, time_unix_nano=number + 1)
    return request


def records(count):
    """A request of so many log records."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in range(count):
        scope.log_records.add(time_unix_nano=number + 1).body.string_value = f"line {number}"
    return request


def item_count(request):
    """Spans, data points or log records of a request."""
    if not isinstance(request, ExportMetricsServiceRequest):
        return len(flat([request]))
    return sum(
        len(getattr(metric, metric.WhichOneof("data")).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.WhichOneof("data")
    )


def flat(requests):
    """Every item with its resource, its scope and their schema URLs, as sorted bytes: what batching must not
    change."""
    rows = []
    for request in requests:
        outer, inner, items = WAYS[type(request)]
        for resource in getattr(request, outer):
            for scope in getattr(resource, inner):
                for item in getattr(scope, items):
                    parts = (resource.resource, scope.scope, item)
                    rows.append(
                        (
                            resource.schema_url,
                            scope.schema_url,
                            *(part.SerializeToString(deterministic=True) for part in parts),
                        )
                    )
    return sorted(rows)


def filled(message, seed=1, depth=7):
    """The message with every field of its type set, each to a value of its own; one entry for each arm of a
    oneof."""
    counter = [seed]
    _fill(message, counter, depth, {})
    return message


def _fill(message, counter, depth, arms):
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof:
            # The next arm of this oneof, in turn, and none that goes deeper at the end of the depth.
            choices = [f for f in field.containing_oneof.fields if depth > 0 or f.type != Field.TYPE_MESSAGE]
            if field is not field.containing_oneof.fields[0] or not choices:
                continue
            turn = arms.get(field.containing_oneof.full_name, 0)
            arms[field.containing_oneof.full_name] = turn + 1
            field = choices[turn % len(choices)]
        if field.type == Field.TYPE_MESSAGE:
            if depth <= 0:
                continue
            if not field.is_repeated:
                _fill(getattr(message, field.name), counter, depth - 1, arms)
                getattr(message, field.name).SetInParent()
                continue
            wide = any(f.containing_oneof for f in field.message_type.fields) or field.name == "attributes"
            for _ in range(7 if wide and depth > 2 else 2):
                _fill(getattr(message, field.name).add(), counter, depth - 1, arms)
        elif field.is_repeated:
            getattr(message, field.name).extend(_value(field, counter) for _ in range(3))
        else:
            setattr(message, field.name, _value(field, counter))


def _value(field, counter):
    counter[0] += 1
    number = counter[0]
    if field.type == Field.TYPE_STRING:
        return f"{field.name} {number} \u00e4\u65e5\U0001f600"
    if field.type == Field.TYPE_BYTES:
        return number.to_bytes({"trace_id": 16, "span_id": 8, "parent_span_id": 8}.get(field.name, 5), "big")
    if field.type in (Field.TYPE_DOUBLE, Field.TYPE_FLOAT):
        return number + 0.25
    if field.type == Field.TYPE_BOOL:
        return True
    if field.type == Field.TYPE_ENUM:
        return field.enum_type.values[-1].number
    sign = (
        -1
        if field.type in (Field.TYPE_SINT32, Field.TYPE_SINT64, Field.TYPE_SFIXED64, Field.TYPE_INT64)
        else 1
    )
    return sign * number
