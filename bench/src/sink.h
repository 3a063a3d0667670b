/* What the parts of the sink share. One thread, one epoll set. */
#ifndef BENCH_SINK_H
#define BENCH_SINK_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "body.h"

struct sink_options {
    struct body_policy policy;
    uint64_t delay_ns;
    double fail_rate;    /* share of requests answered with `status` */
    int status;          /* gRPC code (0-16) or HTTP status (100-599) */
    unsigned fail_first; /* the first so many requests fail, whatever fail_rate says */
    int retry_info;      /* seconds; -1: none */
    uint32_t max_frame_size, max_streams;
    int32_t window;
};

/* Counted since the start. */
struct sink_totals {
    uint64_t connections, requests, grpc, http1, http2, accepted, failed, malformed, aborted, bytes, items,
        gzipped;
};

/* A connection. Freed ones go to a list and `generation` grows, so a delayed answer can tell it is too late.
 */
struct sink_connection {
    int fd;
    uint32_t generation;
    const struct sink_wire *wire; /* NULL until the first byte */
    bool want_write, closing; /* closing: as soon as everything is written */
    uint8_t *out;
    size_t out_length, out_sent, out_capacity;
    nghttp2_session *session;
    struct stream *streams; /* HTTP/2 streams that are open */
    struct http1_state *http1;
    uint8_t *stash; /* HTTP/1.1 bytes that wait behind a delayed answer */
    size_t stash_length;
    struct sink_connection *next_free;
};

/* An answer that waits. */
struct delayed {
    uint64_t due_ns;
    struct sink_connection *connection;
    uint32_t generation;
    int32_t stream;
    int status;
};

/* answers.c: what a wire format calls. */

extern struct sink_options sink_options;
extern struct sink_totals sink_totals;

/* Decides a complete request: the status to answer with (gRPC code; 0 = OK), counting it. */
int sink_decide(struct body *body);

/* Answers later: when options.delay_ns has passed, the wire's `answer` is called if the connection still lives. */
void sink_delay(struct sink_connection *connection, int32_t stream, int status);

/* Queues bytes to be written. */
void sink_write(struct sink_connection *connection, const void *bytes, size_t count);

/* The HTTP status that goes with a gRPC code, and the other way round. */
int http_status_of(int status);
int grpc_status_of(int status);

/* Base64 google.rpc.Status with RetryInfo for grpc-status-details-bin; made once. */
extern char sink_retry_details[256];

/* For sink.c: the details, and the answers that are due, the oldest first. */
void sink_make_retry_details(int status, int seconds);
bool sink_next_due(uint64_t *due_ns);
bool sink_take_due(uint64_t now_ns, struct delayed *answer);

/* What sink.c calls; it is never called back. `feed` takes what was read, `answer` gives an answer that was
   delayed: false when the connection is of no further use at once. What they queue is written then. */
struct sink_wire {
    void (*setup)(void);
    bool (*open)(struct sink_connection *connection);
    bool (*feed)(struct sink_connection *connection, const uint8_t *bytes, size_t count);
    bool (*answer)(struct sink_connection *connection, int32_t stream, int status);
    void (*close)(struct sink_connection *connection);
};

extern const struct sink_wire sink_http1_wire, sink_http2_wire;

#endif
