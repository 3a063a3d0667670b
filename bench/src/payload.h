/* Makes Export{Trace,Metrics,Logs}ServiceRequest bytes that resemble what an instrumented shop service sends.
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum signal { SIGNAL_TRACES, SIGNAL_METRICS, SIGNAL_LOGS };

/* One serialized request. Everything is owned; free with payload_free. */
struct payload {
    uint8_t *bytes;
    size_t length;
    size_t items;       /* spans, data points or log records */
    size_t *id_offsets; /* where each item's 8-byte span id starts; of a data point, the digits of its route */
    size_t service_offset; /* of whole traces: the digit of the service's name */
};

/* "traces", "metrics" or "logs"; -1 for anything else. */
int signal_named(const char *name);

/* The gRPC method path (":path") and the OTLP/HTTP path of a signal. */
const char *signal_grpc_path(enum signal signal);
const char *signal_http_path(enum signal signal);

/* A request of `items` items. The same signal, count and seed give the same bytes on every machine. With `whole` its
   spans are a service's part of traces of 20, to be numbered by payload_number_traces. */
void payload_make(struct payload *payload, enum signal signal, size_t items, uint64_t seed, bool whole);

/* Overwrites the span ids by first, first + 1, … (big endian), so that a receiver can tell loss from
   duplicates. Not for metrics. */
void payload_number(const struct payload *payload, uint8_t *bytes, uint64_t first);

/* Gives the data points of the request of this number (0, 1, …) routes of their own, so that the requests go round
   `series` series: as many as there are metrics in a request, times the routes that are left for each. */
void payload_number_series(const struct payload *payload, uint8_t *bytes, uint64_t request, uint64_t series);

/* Gives the spans of the request of this number (0, 1, …) their places in traces of 20 spans: each goes through four
   services in five spans (server, internal, a client of a database, internal, a client of the next service), and four
   requests, one of each service, bring the same traces. Names of spans go round `names`; 0: there is one. */
void payload_number_traces(const struct payload *payload, uint8_t *bytes, uint64_t request, uint64_t names);

/* The bytes as one gzip member at the given zlib level (1 to 9); the result is malloced. */
uint8_t *payload_gzip(const uint8_t *bytes, size_t length, int level, size_t *compressed_length);

void payload_free(struct payload *payload);

#endif
