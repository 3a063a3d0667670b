/* What the sink says to a request, when, and with which bytes. */
#include <stdlib.h>
#include <string.h>

#include "sink.h"
#include "util.h"

struct sink_options sink_options;
struct sink_totals sink_totals;
char sink_retry_details[256];

static struct delayed *queue; /* a ring: the delay is the same for all, so the oldest is due first */
static size_t queue_first, queue_count, queue_capacity;
static uint64_t random_state = 0x5eed5eed5eedULL;

int grpc_status_of(int status) {
    if (status < 100) return status;
    if (status == 200) return 0;
    return status == 429 || (status >= 502 && status <= 504) ? 14 : status == 400 ? 3 : 2;
}

int http_status_of(int status) {
    if (status >= 100) return status;
    switch (status) {
        case 0: return 200;
        case 3: return 400;
        case 8: return 429;
        case 1:
        case 4:
        case 10:
        case 11:
        case 14:
        case 15: return 503;
        case 16: return 401;
        case 7: return 403;
        case 12: return 404;
        default: return 500;
    }
}

int sink_decide(struct body *body) {
    sink_totals.requests++;
    sink_totals.bytes += body->received;
    sink_totals.gzipped += body->gzip;
    bool fail = sink_totals.requests <= sink_options.fail_first;
    if (!fail && sink_options.fail_rate > 0) {
        fail = (double)(random_next(&random_state) >> 11) * 0x1p-53 < sink_options.fail_rate;
    }
    if (fail) {
        sink_totals.failed++;
        return sink_options.status;
    }
    if (body_finish(body, &sink_options.policy, &sink_totals.items) == BODY_MALFORMED) {
        sink_totals.malformed++;
        return body->signal < 0 ? 12 : 3;
    }
    sink_totals.accepted++;
    return 0;
}

void sink_delay(struct sink_connection *connection, int32_t stream, int status) {
    if (queue_count == queue_capacity) {
        size_t capacity = queue_capacity ? queue_capacity * 2 : 1024;
        struct delayed *grown = must_calloc(capacity, sizeof *grown);
        for (size_t i = 0; i < queue_count; i++) grown[i] = queue[(queue_first + i) % queue_capacity];
        free(queue);
        queue = grown;
        queue_first = 0;
        queue_capacity = capacity;
    }
    queue[(queue_first + queue_count++) % queue_capacity] = (struct delayed){
        now_ns() + sink_options.delay_ns, connection, connection->generation, stream, status};
}

void sink_write(struct sink_connection *c, const void *bytes, size_t count) {
    if (c->out_length + count > c->out_capacity) {
        c->out_capacity = (c->out_length + count) * 2;
        c->out = must_realloc(c->out, c->out_capacity);
    }
    memcpy(c->out + c->out_length, bytes, count);
    c->out_length += count;
}

/* Status{code, message, details: [Any(RetryInfo{retry_delay{seconds}})]} as base64, for 0 to 127 seconds. */
void sink_make_retry_details(int status, int seconds) {
    static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t bytes[128];
    size_t n = 0, type_length = sizeof type - 1, out = 0;
    bytes[n++] = 0x08, bytes[n++] = (uint8_t)grpc_status_of(status);
    bytes[n++] = 0x1a, bytes[n++] = (uint8_t)(2 + type_length + 2 + 4);
    bytes[n++] = 0x0a, bytes[n++] = (uint8_t)type_length;
    memcpy(bytes + n, type, type_length);
    n += type_length;
    memcpy(bytes + n, (uint8_t[]){0x12, 4, 0x0a, 2, 0x08, (uint8_t)seconds}, 6);
    n += 6;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0)
                        | (i + 2 < n ? bytes[i + 2] : 0);
        size_t digits = i + 2 < n ? 4 : i + 1 < n ? 3 : 2;
        for (size_t d = 0; d < digits; d++) sink_retry_details[out++] = alphabet[word >> (18 - 6 * d) & 63];
    }
}

bool sink_next_due(uint64_t *due_ns) {
    if (queue_count) *due_ns = queue[queue_first].due_ns;
    return queue_count > 0;
}

bool sink_take_due(uint64_t now_ns, struct delayed *answer) {
    if (!queue_count || queue[queue_first].due_ns > now_ns) return false;
    *answer = queue[queue_first];
    queue_first = (queue_first + 1) % queue_capacity;
    queue_count--;
    return true;
}
