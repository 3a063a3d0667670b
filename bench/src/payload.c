/* Messages are written front to back; a nested message's length is inserted when it is closed. */
#include "payload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "util.h"

#define BASE_TIME 1764000000000000000ULL /* ns since 1970: the first item's time */
#define POINTS_PER_METRIC 50
#define ROUTE_DIGITS 6
#define TRACE_SERVICES 4      /* through which a whole trace goes */
#define TRACE_SERVICE_SPANS 5 /* that it leaves in each */

struct writer {
    uint8_t *bytes;
    size_t length, capacity;
    size_t *ids;
    size_t id_count;
    uint64_t random;
    size_t service; /* where the digit of the service's name stands, if it has one */
};

/* ---- wire ---- */

static void reserve(struct writer *w, size_t more) {
    if (w->length + more <= w->capacity) return;
    w->capacity = (w->length + more) * 2;
    w->bytes = must_realloc(w->bytes, w->capacity);
}

static void put(struct writer *w, const void *bytes, size_t count) {
    reserve(w, count);
    memcpy(w->bytes + w->length, bytes, count);
    w->length += count;
}

static size_t varint(uint8_t *to, uint64_t value) {
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

static void put_varint(struct writer *w, uint64_t value) {
    uint8_t bytes[10];
    put(w, bytes, varint(bytes, value));
}

static void put_tag(struct writer *w, unsigned field, unsigned wire_type) {
    put_varint(w, (uint64_t)field << 3 | wire_type);
}

static void put_number(struct writer *w, unsigned field, uint64_t value) {
    put_tag(w, field, 0);
    put_varint(w, value);
}

static void put_fixed64(struct writer *w, unsigned field, uint64_t value) {
    put_tag(w, field, 1);
    put(w, &value, 8); /* little endian hosts only; checked in payload_make */
}

static void put_double(struct writer *w, unsigned field, double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    put_fixed64(w, field, bits);
}

static void put_bytes(struct writer *w, unsigned field, const void *bytes, size_t count) {
    put_tag(w, field, 2);
    put_varint(w, count);
    put(w, bytes, count);
}

static void put_text(struct writer *w, unsigned field, const char *text) {
    put_bytes(w, field, text, strlen(text));
}

/* Starts a nested message; what it returns goes to end_message. */
static size_t begin_message(struct writer *w, unsigned field) {
    put_tag(w, field, 2);
    return w->length;
}

static void end_message(struct writer *w, size_t begin) {
    uint8_t prefix[10];
    size_t inside = w->length - begin, n = varint(prefix, inside);
    reserve(w, n);
    memmove(w->bytes + begin + n, w->bytes + begin, inside);
    memcpy(w->bytes + begin, prefix, n);
    w->length += n;
    for (size_t i = w->id_count; i > 0 && w->ids[i - 1] >= begin; i--) w->ids[i - 1] += n;
    if (w->service >= begin) w->service += n;
}

static void put_random_bytes(struct writer *w, unsigned field, size_t count) {
    uint64_t words[2] = {random_next(&w->random), random_next(&w->random)};
    put_bytes(w, field, words, count);
}

static void put_span_id(struct writer *w, unsigned field) {
    put_random_bytes(w, field, 8);
    w->ids[w->id_count++] = w->length - 8;
}

static void put_attribute(struct writer *w, unsigned field, const char *key, const char *value) {
    size_t pair = begin_message(w, field);
    put_text(w, 1, key);
    size_t any = begin_message(w, 2);
    put_text(w, 1, value);
    end_message(w, any);
    end_message(w, pair);
}

static void put_number_attribute(struct writer *w, unsigned field, const char *key, uint64_t value) {
    size_t pair = begin_message(w, field);
    put_text(w, 1, key);
    size_t any = begin_message(w, 2);
    put_number(w, 3, value);
    end_message(w, any);
    end_message(w, pair);
}

static unsigned below(struct writer *w, unsigned limit) {
    return (unsigned)((random_next(&w->random) >> 32) % limit);
}

/* ---- what the three signals share ---- */

static void put_numbered_service(struct writer *w) {
    size_t pair = begin_message(w, 1);
    put_text(w, 1, "service.name");
    size_t any = begin_message(w, 2);
    put_text(w, 1, "checkout-0");
    w->service = w->length - 1;
    end_message(w, any);
    end_message(w, pair);
}

static void put_resource(struct writer *w, bool numbered) {
    char instance[33];
    /* Of whole traces it is the same for all seeds: else each load of a run would bring series of its own. */
    uint64_t high = random_next(&w->random), low = random_next(&w->random);
    snprintf(instance, sizeof instance, "%016llx%016llx", numbered ? 1ULL : (unsigned long long)high,
             numbered ? 1ULL : (unsigned long long)low);
    size_t resource = begin_message(w, 1);
    if (numbered) put_numbered_service(w);
    else put_attribute(w, 1, "service.name", "checkout");
    put_attribute(w, 1, "service.namespace", "shop");
    put_attribute(w, 1, "service.version", "1.4.2");
    put_attribute(w, 1, "service.instance.id", instance);
    put_attribute(w, 1, "k8s.pod.name", "checkout-6c8d7f9b54-k4m2z");
    put_attribute(w, 1, "k8s.namespace.name", "prod");
    put_attribute(w, 1, "k8s.node.name", "node-23");
    put_attribute(w, 1, "host.name", "ip-10-0-4-23");
    put_attribute(w, 1, "telemetry.sdk.language", "go");
    put_attribute(w, 1, "telemetry.sdk.name", "opentelemetry");
    put_attribute(w, 1, "telemetry.sdk.version", "1.30.0");
    end_message(w, resource);
}

static void put_scope(struct writer *w, const char *name, const char *version) {
    size_t scope = begin_message(w, 1);
    put_text(w, 1, name);
    if (version) put_text(w, 2, version);
    end_message(w, scope);
}

/* ---- traces ---- */

/* `position`: where the span of a whole trace stands in its service; -1 for spans that belong to no such trace. */
static void put_span(struct writer *w, size_t index, int position) {
    static const unsigned kinds[TRACE_SERVICE_SPANS] = {2, 1, 3, 1, 3}; /* SERVER, INTERNAL, CLIENT */
    char text[64];
    uint64_t start = BASE_TIME + index * 1000;
    size_t span = begin_message(w, 2);
    put_random_bytes(w, 1, 16);
    put_span_id(w, 2);
    put_random_bytes(w, 4, 8);
    put_text(w, 5, position < 0 ? "GET /api/v1/products/{id}" : "GET /api/v1/r000000/{id}");
    put_number(w, 6, position < 0 ? 2 : kinds[position]);
    put_fixed64(w, 7, start);
    put_fixed64(w, 8, start + 500000 + below(w, 4000000));
    put_attribute(w, 9, "http.request.method", "GET");
    put_attribute(w, 9, "url.scheme", "http");
    put_attribute(w, 9, "server.address", "checkout.prod.svc");
    put_number_attribute(w, 9, "server.port", 8080);
    snprintf(text, sizeof text, "/api/v1/products/%u", below(w, 100000));
    put_attribute(w, 9, "url.path", text);
    put_number_attribute(w, 9, "http.response.status_code", 200);
    put_attribute(w, 9, "network.protocol.version", "1.1");
    put_attribute(w, 9, "user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)");
    snprintf(text, sizeof text, "10.0.%u.%u", below(w, 256), below(w, 256));
    put_attribute(w, 9, "client.address", text);
    put_attribute(w, 9, "http.route", "/api/v1/products/{id}");
    if (position == 2) put_attribute(w, 9, "db.name", "orders");
    if (index % 10 == 0) {
        snprintf(text, sizeof text, "product:%zu", index);
        size_t event = begin_message(w, 11);
        put_fixed64(w, 1, start);
        put_text(w, 2, "cache.miss");
        put_attribute(w, 3, "cache.key", text);
        end_message(w, event);
    }
    size_t status = begin_message(w, 15);
    put_number(w, 3, 1); /* STATUS_CODE_OK */
    end_message(w, status);
    uint32_t flags = 0x101; /* sampled; parent known to be local or not */
    put_tag(w, 16, 5);
    put(w, &flags, 4);
    end_message(w, span);
}

static void make_traces(struct writer *w, size_t items, bool whole) {
    size_t resource = begin_message(w, 1);
    put_resource(w, whole);
    size_t scope = begin_message(w, 2);
    put_scope(w, "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.55.0");
    for (size_t i = 0; i < items; i++) put_span(w, i, whole ? (int)(i % TRACE_SERVICE_SPANS) : -1);
    end_message(w, scope);
    put_text(w, 3, "https://opentelemetry.io/schemas/1.26.0");
    end_message(w, resource);
}

/* ---- metrics: sums and histograms in turn, up to 50 points each ---- */

static void put_point_attributes(struct writer *w, unsigned field, size_t point) {
    char route[32];
    snprintf(route, sizeof route, "/api/v1/r%0*zu", ROUTE_DIGITS, point);
    put_attribute(w, field, "http.request.method", "GET");
    size_t pair = begin_message(w, field);
    put_text(w, 1, "http.route");
    size_t any = begin_message(w, 2);
    put_text(w, 1, route);
    w->ids[w->id_count++] = w->length - ROUTE_DIGITS;
    end_message(w, any);
    end_message(w, pair);
    put_number_attribute(w, field, "http.response.status_code", 200);
}

static void put_sum_point(struct writer *w, size_t point) {
    size_t message = begin_message(w, 1);
    put_fixed64(w, 2, BASE_TIME);
    put_fixed64(w, 3, BASE_TIME + 10000000000ULL);
    put_fixed64(w, 6, 1000 + below(w, 100000));
    put_point_attributes(w, 7, point);
    end_message(w, message);
}

static void put_histogram_point(struct writer *w, size_t point) {
    static const double bounds[10] = {0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10};
    uint64_t counts[11], count = 0;
    double sum = 0;
    for (size_t i = 0; i < COUNT(counts); i++) {
        counts[i] = below(w, 20);
        count += counts[i];
        sum += (double)counts[i] * bounds[i < COUNT(bounds) ? i : COUNT(bounds) - 1];
    }
    size_t message = begin_message(w, 1);
    put_fixed64(w, 2, BASE_TIME);
    put_fixed64(w, 3, BASE_TIME + 10000000000ULL);
    put_fixed64(w, 4, count);
    put_double(w, 5, sum);
    put_bytes(w, 6, counts, sizeof counts);
    put_bytes(w, 7, bounds, sizeof bounds);
    put_point_attributes(w, 9, point);
    end_message(w, message);
}

static size_t metric_points(size_t items) {
    return items < 2 * POINTS_PER_METRIC ? (items + 1) / 2 : POINTS_PER_METRIC;
}

static void make_metrics(struct writer *w, size_t items) {
    char name[64];
    size_t resource = begin_message(w, 1);
    put_resource(w, false);
    size_t scope = begin_message(w, 2);
    put_scope(w, "app.meter", NULL);
    size_t group = metric_points(items);
    for (size_t done = 0, metric = 0; done < items; metric++) {
        size_t points = items - done < group ? items - done : group;
        int sum = metric % 2 == 0;
        snprintf(name, sizeof name, "http.server.request%s.%zu", sum ? "s" : ".duration", metric);
        size_t message = begin_message(w, 2);
        put_text(w, 1, name);
        put_text(w, 2, "test metric");
        put_text(w, 3, sum ? "{request}" : "s");
        size_t data = begin_message(w, sum ? 7 : 9);
        for (size_t i = 0; i < points; i++) sum ? put_sum_point(w, i) : put_histogram_point(w, i);
        put_number(w, 2, 2); /* AGGREGATION_TEMPORALITY_CUMULATIVE */
        if (sum) put_number(w, 3, 1);
        end_message(w, data);
        end_message(w, message);
        done += points;
    }
    end_message(w, scope);
    end_message(w, resource);
}

/* ---- logs ---- */

static void put_record(struct writer *w, size_t index) {
    char text[128];
    uint64_t time = BASE_TIME + index * 1000;
    size_t record = begin_message(w, 2);
    put_fixed64(w, 1, time);
    put_number(w, 2, 9); /* SEVERITY_NUMBER_INFO */
    put_text(w, 3, "INFO");
    size_t body = begin_message(w, 5);
    snprintf(text, sizeof text, "order %u placed by user %u total=%u.%02u currency=USD items=%u",
             10000000 + below(w, 90000000), below(w, 1000000), below(w, 500), below(w, 100), 1 + below(w, 9));
    put_text(w, 1, text);
    end_message(w, body);
    put_number_attribute(w, 6, "order.id", 10000000 + below(w, 90000000));
    put_attribute(w, 6, "http.route", "/api/v1/orders");
    snprintf(text, sizeof text, "worker-%zu", index % 16);
    put_attribute(w, 6, "thread.name", text);
    put_random_bytes(w, 9, 16);
    put_span_id(w, 10);
    put_fixed64(w, 11, time + 50);
    end_message(w, record);
}

static void make_logs(struct writer *w, size_t items) {
    size_t resource = begin_message(w, 1);
    put_resource(w, false);
    size_t scope = begin_message(w, 2);
    put_scope(w, "app.logger", NULL);
    for (size_t i = 0; i < items; i++) put_record(w, i);
    end_message(w, scope);
    end_message(w, resource);
}

/* ---- what others call ---- */

int signal_named(const char *name) {
    if (!strcmp(name, "traces")) return SIGNAL_TRACES;
    if (!strcmp(name, "metrics")) return SIGNAL_METRICS;
    if (!strcmp(name, "logs")) return SIGNAL_LOGS;
    return -1;
}

const char *signal_grpc_path(enum signal signal) {
    static const char *const paths[] = {"/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                                        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                                        "/opentelemetry.proto.collector.logs.v1.LogsService/Export"};
    return paths[signal];
}

const char *signal_http_path(enum signal signal) {
    static const char *const paths[] = {"/v1/traces", "/v1/metrics", "/v1/logs"};
    return paths[signal];
}

void payload_make(struct payload *payload, enum signal signal, size_t items, uint64_t seed, bool whole) {
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
                   "fixed fields are copied as they lie in memory");
    struct writer w = {.random = seed * 0x9e3779b97f4a7c15ULL + 1};
    if (!w.random) w.random = 1;
    w.ids = must_calloc(items, sizeof *w.ids);
    switch (signal) {
        case SIGNAL_TRACES: make_traces(&w, items, whole); break;
        case SIGNAL_METRICS: make_metrics(&w, items); break;
        case SIGNAL_LOGS: make_logs(&w, items); break;
    }
    *payload = (struct payload){.bytes = w.bytes, .length = w.length, .items = items, .id_offsets = w.ids,
                                .service_offset = w.service};
}

static void write_digits(uint8_t *digits, uint64_t value) {
    for (size_t digit = ROUTE_DIGITS; digit-- > 0; value /= 10) digits[digit] = (uint8_t)('0' + value % 10);
}

void payload_number_series(const struct payload *payload, uint8_t *bytes, uint64_t request, uint64_t series) {
    size_t points = metric_points(payload->items), metrics = (payload->items + points - 1) / points;
    uint64_t routes = series / metrics ? series / metrics : 1;
    for (size_t i = 0; i < payload->items; i++) {
        write_digits(bytes + payload->id_offsets[i], (request * points + i % points) % routes);
    }
}

void payload_number_traces(const struct payload *payload, uint8_t *bytes, uint64_t request, uint64_t names) {
    /* Of a span, from its own id: its trace's, its parent's, and the digits of its name. */
    enum { TRACE = -18, PARENT = 10, NAME = 33 };
    size_t traces = payload->items / TRACE_SERVICE_SPANS;
    uint64_t service = request % TRACE_SERVICES;
    bytes[payload->service_offset] = (uint8_t)('0' + service);
    for (size_t i = 0; i < payload->items; i++) {
        uint64_t trace = request / TRACE_SERVICES * traces + i / TRACE_SERVICE_SPANS;
        uint64_t number = service * TRACE_SERVICE_SPANS + i % TRACE_SERVICE_SPANS;
        uint64_t random = (trace + 1) * 0x9e3779b97f4a7c15ULL;
        uint64_t halves[2] = {random ^ random >> 31, __builtin_bswap64(trace)};
        uint64_t own = __builtin_bswap64(random + number), parent = number ? __builtin_bswap64(random + number - 1) : 0;
        uint8_t *span = bytes + payload->id_offsets[i];
        memcpy(span + TRACE, halves, 16);
        memcpy(span, &own, 8);
        memcpy(span + PARENT, &parent, 8);
        write_digits(span + NAME, names ? (request * payload->items + i) % names : 0);
    }
}

void payload_number(const struct payload *payload, uint8_t *bytes, uint64_t first) {
    for (size_t i = 0; i < payload->items; i++) {
        uint64_t id = __builtin_bswap64(first + i);
        memcpy(bytes + payload->id_offsets[i], &id, 8);
    }
}

uint8_t *payload_gzip(const uint8_t *bytes, size_t length, int level, size_t *compressed_length) {
    z_stream z = {0};
    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("deflateInit2 failed");
    uLong bound = deflateBound(&z, (uLong)length);
    uint8_t *compressed = must_alloc(bound);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)length;
    z.next_out = compressed;
    z.avail_out = (uInt)bound;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) die("deflate did not finish within its own bound");
    *compressed_length = z.total_out;
    deflateEnd(&z);
    return compressed;
}

void payload_free(struct payload *payload) {
    free(payload->bytes);
    free(payload->id_offsets);
    *payload = (struct payload){0};
}
