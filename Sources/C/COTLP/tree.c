#include "arena.h"
#include "tables.h"

#include "generated/logs_service.pb-c.h"
#include "generated/metrics_service.pb-c.h"
#include "generated/trace_service.pb-c.h"

// A cotlp_tree is the ProtobufCMessage of the request.
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest trace_request;
typedef Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest metrics_request;
typedef Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceRequest logs_request;

int cotlp_tree_decode(cotlp_arena *arena, int signal, const uint8_t *bytes, size_t count, cotlp_tree **tree,
                      cotlp_fault *fault) {
    // The check comes first: protobuf-c neither bounds nesting nor looks at text, and ends text at a NUL.
    cotlp_summary summary;
    int code = cotlp_check_without_nul(signal, bytes, count, &summary, fault);
    if (code != COTLP_VALID) return code;
    const ProtobufCMessageDescriptor *descriptor = cotlp_tables[signal].descriptor;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &arena->allocator, count, bytes);
    if (message == NULL) {
        if (arena->is_exhausted) return COTLP_NO_MEMORY;
        // protobuf-c cannot merge two occurrences of one message field when neither sets a oneof in it.
        *fault = (cotlp_fault){.code = COTLP_NO_TREE, .message_name = descriptor->name};
        return COTLP_NO_TREE;
    }
    *tree = (cotlp_tree *)(void *)message;
    return COTLP_VALID;
}

size_t cotlp_tree_encoded_size(const cotlp_tree *tree) {
    return protobuf_c_message_get_packed_size((const ProtobufCMessage *)(const void *)tree);
}

void cotlp_tree_encode(const cotlp_tree *tree, uint8_t *bytes) {
    protobuf_c_message_pack((const ProtobufCMessage *)(const void *)tree, bytes);
}

static size_t count_spans(const trace_request *request) {
    size_t items = 0;
    for (size_t r = 0; r < request->n_resource_spans; r++) {
        const Opentelemetry__Proto__Trace__V1__ResourceSpans *resource = request->resource_spans[r];
        for (size_t s = 0; s < resource->n_scope_spans; s++) items += resource->scope_spans[s]->n_spans;
    }
    return items;
}

static size_t count_records(const logs_request *request) {
    size_t items = 0;
    for (size_t r = 0; r < request->n_resource_logs; r++) {
        const Opentelemetry__Proto__Logs__V1__ResourceLogs *resource = request->resource_logs[r];
        for (size_t s = 0; s < resource->n_scope_logs; s++) items += resource->scope_logs[s]->n_log_records;
    }
    return items;
}

static size_t count_metric(const Opentelemetry__Proto__Metrics__V1__Metric *metric) {
    switch (metric->data_case) {
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_GAUGE: return metric->gauge->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_SUM: return metric->sum->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_HISTOGRAM: return metric->histogram->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_EXPONENTIAL_HISTOGRAM:
        return metric->exponential_histogram->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_SUMMARY: return metric->summary->n_data_points;
    default: return 0;
    }
}

static size_t count_points(const metrics_request *request) {
    size_t items = 0;
    for (size_t r = 0; r < request->n_resource_metrics; r++) {
        const Opentelemetry__Proto__Metrics__V1__ResourceMetrics *resource = request->resource_metrics[r];
        for (size_t s = 0; s < resource->n_scope_metrics; s++) {
            const Opentelemetry__Proto__Metrics__V1__ScopeMetrics *scope = resource->scope_metrics[s];
            for (size_t m = 0; m < scope->n_metrics; m++) items += count_metric(scope->metrics[m]);
        }
    }
    return items;
}

size_t cotlp_tree_count_items(const cotlp_tree *tree, int signal) {
    const void *request = tree;
    switch (signal) {
    case COTLP_TRACES: return count_spans(request);
    case COTLP_METRICS: return count_points(request);
    default: return count_records(request);
    }
}
