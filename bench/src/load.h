/* What the parts of the load generator share. A worker is one thread with its own epoll set; connections
   belong to one worker, slots (one for each request that may be in flight) to one connection. Nothing is
   shared between workers while they run. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "histogram.h"
#include "payload.h"

#define STATUS_LIMIT 600 /* gRPC codes lie at 0-16, HTTP ones at 100-599 */
#define OUT_PIECES 512   /* iovecs that wait for one writev */
#define OUT_ARENA 65536  /* bytes of frame headers that wait for one writev */
#define READ_BYTES (256 << 10)

enum protocol { PROTOCOL_GRPC, PROTOCOL_HTTP1, PROTOCOL_HTTP2 };

struct options {
    struct sockaddr_storage address;
    socklen_t address_length;
    const char *authority;
    enum protocol protocol;
    enum signal signal;
    size_t items;
    bool gzip, unique, whole; /* whole: spans are parts of traces of 20 */
    unsigned gzip_level, connections, streams, threads, max_frame_size;
    double duration, rate, grace; /* seconds, requests a second (0: closed loop), seconds */
    uint64_t requests;            /* 0: no limit */
    uint64_t seed;
    uint64_t series; /* of metrics, or names of spans in whole traces: how many to go round; 0: those of one request */
    FILE *acked; /* with unique: 16 bytes for each accepted request, first id and count */
};

/* What was seen; one for each worker, summed at the end. */
struct totals {
    uint64_t ok, refused, failed, transport, unanswered;
    uint64_t by_status[STATUS_LIMIT]; /* every answered request that was not accepted */
    uint64_t bytes_sent;
    uint64_t last_answer_ns;
    struct histogram latency; /* of accepted requests */
    char first_error[160];
};

struct connection;

/* One request in flight. */
struct slot {
    struct connection *connection;
    struct slot *next_free;
    uint8_t *message; /* with the gRPC prefix where there is one; shared unless options.unique */
    size_t length, sent;
    uint64_t intended_ns, first_id;
    int32_t stream;
    int http_status, grpc_status;
    bool retry_info, answered, busy;
};

struct connection {
    struct worker *worker;
    int fd; /* -1: closed, to be opened again at retry_ns */
    bool want_write, dirty;
    uint64_t retry_ns;
    struct slot *slots, *free_slots;
    unsigned in_flight;
    /* output: pieces point into the arena or into a slot's message */
    struct iovec pieces[OUT_PIECES];
    unsigned piece_count, piece_first;
    size_t arena_used;
    uint8_t *arena;
    /* HTTP/2 */
    nghttp2_session *session;
    /* HTTP/1.1 answer parsing */
    uint8_t head[8192];
    size_t head_length;
    uint64_t body_left;
    int body_state;
    bool close_after;
};

struct worker {
    const struct options *options;
    const struct wire *wire;
    int epoll;
    unsigned index, connection_count, next_connection;
    struct connection *connections;
    unsigned in_flight;
    uint64_t start_ns, end_ns, issued, budget, next_id;
    double interval_ns; /* 0: closed loop */
    const struct payload *payload;
    const uint8_t *message; /* shared request bytes */
    size_t message_length;
    uint64_t now_ns;
    uint8_t *read_buffer;
    struct totals totals;
};

/* requests.c: what a wire format calls. */

/* True when a request may start now; then *intended_ns is when it should have started. */
bool worker_take(struct worker *worker, uint64_t *intended_ns);

/* Readies a free slot for a new request; NULL when all are in flight. */
struct slot *slot_take(struct connection *connection, uint64_t intended_ns);

/* Gives a slot back. */
void slot_release(struct slot *slot);

/* Counts a slot's answer by its statuses. */
void slot_answered(struct slot *slot);

/* Counts a request whose answer cannot come any more, with the reason. */
void slot_lost(struct slot *slot, const char *reason);

/* Counts a request that the server turned away by protocol means (RST_STREAM REFUSED_STREAM). */
void slot_refused(struct slot *slot);

/* Queue output; false when the queue is full (flush first). `out_copy` copies, `out_refer` keeps the pointer.
 */
bool out_room(const struct connection *connection, size_t bytes);
void out_copy(struct connection *connection, const void *bytes, size_t count);
void out_refer(struct connection *connection, const void *bytes, size_t count);

/* Writes what is queued. Returns 1 when all is written, 0 when the socket is full, -1 when it is broken. */
int out_flush(struct connection *connection);

/* What load.c calls; it is never called back. `feed` takes what was read, `fill` starts at most `most` requests
   that are due, `pump` writes: false when the connection is of no further use. `open` starts a fresh
   connection's protocol state, `close` ends it; both come by turns. `setup` comes once; all requests have
   `message_length` unless they are numbered and compressed. */
struct wire {
    void (*setup)(const struct options *options, size_t message_length);
    void (*open)(struct connection *connection);
    bool (*feed)(struct connection *connection, const uint8_t *bytes, size_t count);
    bool (*fill)(struct connection *connection, unsigned most);
    bool (*pump)(struct connection *connection);
    void (*close)(struct connection *connection);
};

extern const struct wire http1_wire, http2_wire;

#endif
