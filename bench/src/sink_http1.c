/* OTLP/HTTP over HTTP/1.1 at the sink: content-length and chunked bodies, keep-alive, pipelining. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/param.h>

#include "sink.h"
#include "util.h"

enum {
    STATE_HEAD,
    STATE_LENGTH,
    STATE_CHUNK_SIZE,
    STATE_CHUNK_DATA,
    STATE_CHUNK_END,
    STATE_TRAILERS,
    STATE_WAITING
};

struct http1_state {
    char line[16384]; /* the head, or one chunk-size or trailer line */
    size_t line_length;
    int state;
    bool close_after, post;
    uint64_t left;
    size_t declared;
    struct body body;
};

static bool wire_open(struct sink_connection *connection) {
    connection->http1 = must_calloc(1, sizeof *connection->http1);
    return true;
}

static void wire_close(struct sink_connection *connection) {
    struct http1_state *http = connection->http1;
    sink_totals.aborted +=
        http->state != STATE_WAITING && (http->state != STATE_HEAD || http->line_length > 0);
    body_free(&http->body);
    free(http);
    connection->http1 = NULL;
}

static bool put_answer(struct sink_connection *connection, int status) {
    struct http1_state *http = connection->http1;
    char answer[256], retry[40] = "";
    int code = http_status_of(status);
    if (!http->post) code = 405;
    else if (http->body.signal < 0) code = 404;
    if (code != 200 && sink_options.retry_info >= 0) {
        snprintf(retry, sizeof retry, "Retry-After: %d\r\n", sink_options.retry_info);
    }
    if (code == 200 && http->body.push) {
        static const char no_content[] = "HTTP/1.1 204 No Content\r\n\r\n";
        sink_write(connection, no_content, sizeof no_content - 1);
        http->state = STATE_HEAD;
        http->line_length = 0;
        return !http->close_after;
    }
    const char *reason = code == 200 ? "OK" : "Not accepted";
    int length =
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 %d %s\r\nContent-Type: application/x-protobuf\r\n%sContent-Length: 0\r\n\r\n",
                 code, reason, retry);
    sink_write(connection, answer, (size_t)length);
    http->state = STATE_HEAD;
    http->line_length = 0;
    return !http->close_after;
}

static bool finish(struct sink_connection *connection) {
    struct http1_state *http = connection->http1;
    sink_totals.http1++;
    int status = sink_decide(&http->body);
    body_free(&http->body);
    http->state = STATE_WAITING;
    if (!sink_options.delay_ns) return put_answer(connection, status);
    sink_delay(connection, 0, status);
    return true;
}

static bool is_field(const char *line, const char *name, const char **value) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) || line[length] != ':') return false;
    *value = line + length + 1;
    while (**value == ' ') (*value)++;
    return true;
}

static bool parse_head(struct sink_connection *connection) {
    struct http1_state *http = connection->http1;
    char *head = http->line;
    head[http->line_length - 2] = 0;
    char *path = strchr(head, ' '), *path_end = path ? strchr(path + 1, ' ') : NULL;
    if (!path_end || strncmp(path_end, " HTTP/1.", 8)) return false;
    bool grpc;
    http->post = !strncmp(head, "POST ", 5);
    int signal = body_signal(path + 1, (size_t)(path_end - path - 1), &grpc);
    bool push = body_is_push(path + 1, (size_t)(path_end - path - 1));
    if (push) signal = SIGNAL_LOGS;
    http->body = (struct body){.signal = http->post ? signal : -1, .push = push};
    http->state = STATE_LENGTH;
    http->left = 0;
    http->close_after = false;
    for (char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
        const char *value;
        if (is_field(line + 2, "content-length", &value)) {
            http->left = strtoull(value, NULL, 10);
        } else if (is_field(line + 2, "transfer-encoding", &value)) {
            if (!strncasecmp(value, "chunked", 7)) http->state = STATE_CHUNK_SIZE;
        } else if (is_field(line + 2, "content-encoding", &value)) {
            http->body.gzip = !strncasecmp(value, "gzip", 4);
        } else if (is_field(line + 2, "connection", &value)) {
            http->close_after = !strncasecmp(value, "close", 5);
        } else if (is_field(line + 2, "expect", &value)) {
            static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
            if (!strncasecmp(value, "100-continue", 12)) sink_write(connection, go_on, sizeof go_on - 1);
        }
    }
    http->declared = (size_t)MIN(http->left, BODY_LIMIT);
    return true;
}

/* Collects up to and with `end`; returns how many bytes were used, 0 when there is no room. */
static size_t collect(struct http1_state *http, const uint8_t *bytes, size_t count, const char *end,
                      bool *complete) {
    size_t end_length = strlen(end);
    *complete = false;
    for (size_t i = 0; i < count; i++) {
        if (http->line_length == sizeof http->line) return 0;
        http->line[http->line_length++] = (char)bytes[i];
        if (http->line_length < end_length) continue;
        if (!memcmp(http->line + http->line_length - end_length, end, end_length)) {
            *complete = true;
            return i + 1;
        }
    }
    return count;
}

/* One step; returns bytes used, 0 on nonsense. */
static size_t step(struct sink_connection *connection, const uint8_t *bytes, size_t count, bool *ended) {
    struct http1_state *http = connection->http1;
    bool complete;
    size_t used;
    switch (http->state) {
        case STATE_HEAD:
            used = collect(http, bytes, count, "\r\n\r\n", &complete);
            if (!used || !complete) return used;
            if (!parse_head(connection)) return 0;
            http->line_length = 0;
            *ended = http->state == STATE_LENGTH && http->left == 0;
            return used;
        case STATE_LENGTH:
        case STATE_CHUNK_DATA:
            used = MIN(count, http->left);
            body_append(&http->body, &sink_options.policy, bytes, used, http->declared);
            http->left -= used;
            if (http->left) return used;
            *ended = http->state == STATE_LENGTH;
            http->state = STATE_CHUNK_END;
            return used;
        case STATE_CHUNK_SIZE:
        case STATE_CHUNK_END:
        case STATE_TRAILERS:
            used = collect(http, bytes, count, "\r\n", &complete);
            if (!used || !complete) return used;
            if (http->state == STATE_CHUNK_SIZE) {
                http->line[http->line_length - 2] = 0;
                http->left = strtoull(http->line, NULL, 16);
                http->state = http->left ? STATE_CHUNK_DATA : STATE_TRAILERS;
            } else if (http->state == STATE_CHUNK_END) {
                http->state = STATE_CHUNK_SIZE;
            } else {
                *ended = http->line_length == 2;
            }
            http->line_length = 0;
            return used;
        default: return 0;
    }
}

static bool stash(struct sink_connection *connection, const uint8_t *bytes, size_t count) {
    connection->stash = must_realloc(connection->stash, connection->stash_length + count);
    memcpy(connection->stash + connection->stash_length, bytes, count);
    connection->stash_length += count;
    return connection->stash_length <= BODY_LIMIT;
}

static bool take(struct sink_connection *connection, const uint8_t *bytes, size_t count) {
    while (count) {
        if (connection->http1->state == STATE_WAITING) return stash(connection, bytes, count);
        bool ended = false;
        size_t used = step(connection, bytes, count, &ended);
        if (!used) return false;
        bytes += used;
        count -= used;
        if (ended && !finish(connection)) return false;
    }
    return true;
}

static bool wire_feed(struct sink_connection *connection, const uint8_t *bytes, size_t count) {
    if (!take(connection, bytes, count)) connection->closing = true;
    return true;
}

static bool wire_answer(struct sink_connection *connection, int32_t stream, int status) {
    (void)stream;
    uint8_t *waiting = connection->stash;
    size_t length = connection->stash_length;
    connection->stash = NULL;
    connection->stash_length = 0;
    if (!put_answer(connection, status) || !take(connection, waiting, length)) connection->closing = true;
    free(waiting);
    return true;
}

static void wire_setup(void) {}

const struct sink_wire sink_http1_wire = {wire_setup, wire_open, wire_feed, wire_answer, wire_close};
