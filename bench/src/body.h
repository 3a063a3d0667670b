/* One request body at the sink: framing check, optional copy, item count, span ids. */
#ifndef BENCH_BODY_H
#define BENCH_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "payload.h"

#define BODY_LIMIT (256u << 20) /* of one message, before and after decompression */

/* What a sink does with bodies. */
struct body_policy {
    bool keep;  /* copy the bytes into a fresh buffer */
    bool count; /* count items; implies keep */
    FILE *ids;  /* write every span id (8 bytes each) here; implies keep */
};

struct body {
    int signal; /* enum signal, -1 when the path names none */
    bool grpc, gzip, oversize;
    bool push; /* a Loki push: snappy, entries instead of log records */
    uint8_t prefix[5];
    unsigned prefix_length;
    uint64_t received; /* bytes after the gRPC prefix */
    uint8_t *bytes;    /* owned; NULL unless kept */
    size_t length, capacity;
};

enum body_result { BODY_OK, BODY_MALFORMED };

/* Takes the next bytes as they came from the wire. `declared` is the content-length, 0 if unknown. */
void body_append(struct body *body, const struct body_policy *policy, const uint8_t *bytes, size_t count,
                 size_t declared);

/* Checks a complete body and, if the policy says so, adds its items to *items and records its ids. */
enum body_result body_finish(struct body *body, const struct body_policy *policy, uint64_t *items);

/* Frees the copy. The body may be used again after it is zeroed. */
void body_free(struct body *body);

/* Whether a path is that of Loki's push endpoint, whose signal is logs. */
bool body_is_push(const char *path, size_t length);

/* Which signal a gRPC or OTLP/HTTP path means; -1 for none. */
int body_signal(const char *path, size_t length, bool *grpc);

#endif
