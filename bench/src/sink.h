/* What the parts of the sink share. One thread, one epoll set. */
#ifndef BENCH_SINK_H
#define BENCH_SINK_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "body.h"

enum wire { WIRE_UNKNOWN, WIRE_HTTP1, WIRE_HTTP2 };

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
    enum wire wire;
    bool want_write, closing;
    uint8_t *out;
    size_t out_length, out_sent, out_capacity;
    nghttp2_session *session;
    struct stream *streams; /* HTTP/2 streams that are open */
    struct http1_state *http1;
    uint8_t *stash; /* HTTP/1.1 bytes that wait behind a delayed answer */
    size_t stash_length;
    struct sink_connection *next_free;
};

extern struct sink_options sink_options;
extern struct sink_totals sink_totals;

/* Decides a complete request: the status to answer with (gRPC code; 0 = OK), counting it. */
int sink_decide(struct body *body);

/* Answers later: when options.delay_ns has passed, sink_answer_now is called if the connection still lives.
 */
void sink_delay(struct sink_connection *connection, int32_t stream, int status);

/* Queues bytes to be written. */
void sink_write(struct sink_connection *connection, const void *bytes, size_t count);

/* The HTTP status that goes with a gRPC code, and the other way round. */
int http_status_of(int status);
int grpc_status_of(int status);

/* Base64 google.rpc.Status with RetryInfo for grpc-status-details-bin; made once by sink.c. */
extern char sink_retry_details[256];

void sink_http2_setup(void);
bool sink_http2_open(struct sink_connection *connection);
bool sink_http2_feed(struct sink_connection *connection, const uint8_t *bytes, size_t count);
bool sink_http2_pump(struct sink_connection *connection);
void sink_http2_answer(struct sink_connection *connection, int32_t stream, int status);
void sink_http2_close(struct sink_connection *connection);

void sink_http1_open(struct sink_connection *connection);
bool sink_http1_feed(struct sink_connection *connection, const uint8_t *bytes, size_t count);
bool sink_http1_answer(struct sink_connection *connection, int status);
void sink_http1_close(struct sink_connection *connection);

#endif
