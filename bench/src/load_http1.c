/* OTLP/HTTP over HTTP/1.1 keep-alive: one request in flight a connection. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/param.h>

#include "load.h"
#include "util.h"

enum { STATE_HEAD, STATE_LENGTH, STATE_CHUNK_SIZE, STATE_CHUNK_DATA, STATE_CHUNK_END, STATE_TRAILERS };

static char request_head[512];
static size_t request_head_length;
static bool variable_length; /* gzip of numbered payloads: content-length differs from request to request */

static void wire_setup(const struct options *options, size_t message_length) {
    variable_length = options->unique && options->gzip;
    int length = snprintf(request_head, sizeof request_head,
                          "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-bench/1\r\n"
                          "Content-Type: application/x-protobuf\r\n%s",
                          signal_http_path(options->signal), options->authority,
                          options->gzip ? "Content-Encoding: gzip\r\n" : "");
    if (!variable_length) {
        length += snprintf(request_head + length, sizeof request_head - (size_t)length,
                           "Content-Length: %zu\r\n\r\n", message_length);
    }
    if ((size_t)length >= sizeof request_head)
        die("the request head is longer than %zu bytes", sizeof request_head);
    request_head_length = (size_t)length;
}

static void wire_open(struct connection *connection) {
    connection->head_length = 0;
    connection->body_state = STATE_HEAD;
    connection->close_after = false;
}

/* Ends the answer to the one request in flight. False when the server closes after it. */
static bool finish(struct connection *connection) {
    struct slot *slot = connection->slots;
    slot_answered(slot);
    slot_release(slot);
    connection->head_length = 0;
    connection->body_state = STATE_HEAD;
    return !connection->close_after;
}

static bool is_field(const char *line, const char *name, const char **value) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) || line[length] != ':') return false;
    *value = line + length + 1;
    while (**value == ' ') (*value)++;
    return true;
}

/* Reads status line and fields of a complete head; false when they are not HTTP/1.x. */
static bool parse_head(struct connection *connection) {
    struct slot *slot = connection->slots;
    char *head = (char *)connection->head, *line;
    head[connection->head_length - 2] = 0; /* the empty line's CRLF; head ends with CRLF CRLF */
    if (strncmp(head, "HTTP/1.", 7) || strlen(head) < 12) return false;
    slot->http_status = atoi(head + 9);
    if (slot->http_status < 100 || slot->http_status >= STATUS_LIMIT) return false;
    connection->body_left = 0;
    connection->body_state = STATE_LENGTH;
    for (line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
        const char *value;
        if (is_field(line + 2, "content-length", &value)) {
            connection->body_left = strtoull(value, NULL, 10);
        } else if (is_field(line + 2, "transfer-encoding", &value)) {
            if (!strncasecmp(value, "chunked", 7)) connection->body_state = STATE_CHUNK_SIZE;
        } else if (is_field(line + 2, "connection", &value)) {
            if (!strncasecmp(value, "close", 5)) connection->close_after = true;
        } else if (is_field(line + 2, "retry-after", &value)) {
            slot->retry_info = true;
        }
    }
    return true;
}

/* Collects bytes in head up to and with `end`; returns how many were used, 0 when head is full. */
static size_t collect(struct connection *connection, const uint8_t *bytes, size_t count, const char *end,
                      bool *complete) {
    size_t end_length = strlen(end);
    *complete = false;
    for (size_t i = 0; i < count; i++) {
        if (connection->head_length == sizeof connection->head) return 0;
        connection->head[connection->head_length++] = bytes[i];
        if (connection->head_length < end_length) continue;
        if (!memcmp(connection->head + connection->head_length - end_length, end, end_length)) {
            *complete = true;
            return i + 1;
        }
    }
    return count;
}

/* One step of the answer; returns bytes used, 0 on nonsense. May set *ended. */
static size_t step(struct connection *connection, const uint8_t *bytes, size_t count, bool *ended) {
    bool complete;
    size_t used;
    switch (connection->body_state) {
        case STATE_HEAD:
            used = collect(connection, bytes, count, "\r\n\r\n", &complete);
            if (!used || !complete) return used;
            if (!parse_head(connection)) return 0;
            if (connection->slots->http_status < 200) { /* 1xx: the real answer follows */
                connection->head_length = 0;
                connection->body_state = STATE_HEAD;
            } else {
                *ended = connection->body_state == STATE_LENGTH && connection->body_left == 0;
            }
            connection->head_length = 0;
            return used;
        case STATE_LENGTH:
        case STATE_CHUNK_DATA:
            used = MIN(count, connection->body_left);
            connection->body_left -= used;
            if (connection->body_left) return used;
            *ended = connection->body_state == STATE_LENGTH;
            connection->body_state = STATE_CHUNK_END;
            return used;
        case STATE_CHUNK_END:
        case STATE_CHUNK_SIZE:
        case STATE_TRAILERS:
            used = collect(connection, bytes, count, "\r\n", &complete);
            if (!used || !complete) return used;
            if (connection->body_state == STATE_CHUNK_SIZE) {
                connection->head[connection->head_length - 2] = 0;
                connection->body_left = strtoull((char *)connection->head, NULL, 16);
                connection->body_state = connection->body_left ? STATE_CHUNK_DATA : STATE_TRAILERS;
            } else if (connection->body_state == STATE_CHUNK_END) {
                connection->body_state = STATE_CHUNK_SIZE;
            } else {
                *ended = connection->head_length == 2;
            }
            connection->head_length = 0;
            return used;
        default: return 0;
    }
}

static bool wire_feed(struct connection *connection, const uint8_t *bytes, size_t count) {
    while (count) {
        if (!connection->in_flight) return false; /* an answer nobody asked for */
        bool ended = false;
        size_t used = step(connection, bytes, count, &ended);
        if (!used) return false;
        bytes += used;
        count -= used;
        if (ended && !finish(connection)) return false;
    }
    return true;
}

static bool wire_fill(struct connection *connection, unsigned most) {
    uint64_t intended;
    if (!most || !connection->free_slots || !out_room(connection, sizeof request_head + 64)) return true;
    if (!worker_take(connection->worker, &intended)) return true;
    struct slot *slot = slot_take(connection, intended);
    if (variable_length) {
        char line[64];
        int length = snprintf(line, sizeof line, "Content-Length: %zu\r\n\r\n", slot->length);
        out_copy(connection, request_head, request_head_length);
        out_copy(connection, line, (size_t)length);
    } else {
        out_copy(connection, request_head, request_head_length);
    }
    out_refer(connection, slot->message, slot->length);
    return true;
}

static bool wire_pump(struct connection *connection) {
    return out_flush(connection) >= 0;
}

static void wire_close(struct connection *connection) {
    (void)connection;
}

const struct wire http1_wire = {wire_setup, wire_open, wire_feed, wire_fill, wire_pump, wire_close};
