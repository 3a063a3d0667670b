/* gRPC and OTLP/HTTP over HTTP/2: one nghttp2 session a connection, request bodies written without a copy. */
#include <string.h>
#include <sys/param.h>

#include "load.h"
#include "util.h"

#define CLIENT_WINDOW (16 << 20)
#define MAX_HEADERS 8
#define LONGEST_CONTROL_FRAME (16384 + 9)

static nghttp2_nv headers[MAX_HEADERS];
static size_t header_count;
static nghttp2_session_callbacks *callbacks;
static uint32_t frame_limit;

static void add_header(const char *name, const char *value) {
    headers[header_count++] =
        (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                     .value = (uint8_t *)(uintptr_t)value,
                     .namelen = strlen(name),
                     .valuelen = strlen(value),
                     .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

/* ---- request body ---- */

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)buffer, (void)user;
    const struct slot *slot = source->ptr;
    size_t left = slot->length - slot->sent;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left <= length) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)MIN(left, length);
}

static int send_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_header,
                     size_t length, nghttp2_data_source *source, void *user) {
    (void)session, (void)frame;
    struct connection *connection = user;
    struct slot *slot = source->ptr;
    if (!out_room(connection, 9)) return NGHTTP2_ERR_WOULDBLOCK;
    out_copy(connection, frame_header, 9);
    if (length) out_refer(connection, slot->message + slot->sent, length);
    slot->sent += length;
    return 0;
}

static ssize_t frame_length(nghttp2_session *session, uint8_t type, int32_t stream, int32_t session_window,
                            int32_t stream_window, uint32_t remote_max_frame, void *user) {
    (void)session, (void)type, (void)stream, (void)user;
    int64_t length = MIN(session_window, stream_window);
    return (ssize_t)MIN(length, (int64_t)MIN(remote_max_frame, frame_limit));
}

/* ---- answer ---- */

static bool named(const uint8_t *name, size_t length, const char *wanted) {
    return length == strlen(wanted) && !memcmp(name, wanted, length);
}

static int small_number(const uint8_t *text, size_t length) {
    int value = 0;
    if (!length || length > 3) return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + text[i] - '0';
    }
    return value;
}

/* Whether base64 text, decoded, names google.rpc.RetryInfo. */
static bool holds_retry_info(const uint8_t *text, size_t length) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char decoded[1024];
    size_t count = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < length && count < sizeof decoded; i++) {
        const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!at) break;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have >= 8) decoded[count++] = (char)(bits >> (have -= 8));
    }
    static const char type[] = "google.rpc.RetryInfo";
    return memmem(decoded, count, type, sizeof type - 1) != NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user) {
    (void)flags, (void)user;
    struct slot *slot = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!slot) return 0;
    if (named(name, name_length, ":status")) {
        slot->http_status = small_number(value, value_length);
    } else if (named(name, name_length, "grpc-status")) {
        slot->grpc_status = small_number(value, value_length);
    } else if (named(name, name_length, "grpc-status-details-bin")) {
        slot->retry_info = holds_retry_info(value, value_length);
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)user;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    struct slot *slot = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!slot) return 0;
    slot->answered = true;
    if (!nghttp2_session_get_stream_local_close(session, frame->hd.stream_id)) {
        /* The server answered before it had the whole body; the rest is not wanted. */
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
    (void)user;
    struct slot *slot = nghttp2_session_get_stream_user_data(session, stream);
    if (!slot) return 0;
    if (slot->answered) {
        slot_answered(slot);
    } else if (error == NGHTTP2_REFUSED_STREAM) {
        slot_refused(slot);
    } else {
        char reason[64];
        snprintf(reason, sizeof reason, "stream reset: %s", nghttp2_http2_strerror(error));
        slot_lost(slot, reason);
    }
    slot_release(slot);
    return 0;
}

static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user) {
    (void)session, (void)frame;
    struct connection *connection = user;
    snprintf(connection->worker->totals.first_error, sizeof connection->worker->totals.first_error,
             "invalid frame from the server: %s", nghttp2_strerror(error));
    return 0;
}

/* ---- the connection ---- */

static void wire_setup(const struct options *options, size_t message_length) {
    (void)message_length;
    bool grpc = options->protocol == PROTOCOL_GRPC;
    frame_limit = options->max_frame_size;
    add_header(":method", "POST");
    add_header(":scheme", "http");
    add_header(":path", grpc ? signal_grpc_path(options->signal) : signal_http_path(options->signal));
    add_header(":authority", options->authority);
    add_header("content-type", grpc ? "application/grpc" : "application/x-protobuf");
    if (grpc) add_header("te", "trailers");
    if (options->gzip) add_header(grpc ? "grpc-encoding" : "content-encoding", "gzip");
    add_header("user-agent", "sluice-bench/1");
    if (nghttp2_session_callbacks_new(&callbacks)) die("out of memory");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_body);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, frame_length);
}

static void wire_open(struct connection *connection) {
    nghttp2_option *option;
    if (nghttp2_option_new(&option)) die("out of memory");
    nghttp2_option_set_no_closed_streams(option, 1);
    int status = nghttp2_session_client_new2(&connection->session, callbacks, connection, option);
    nghttp2_option_del(option);
    if (status) die("nghttp2_session_client_new2: %s", nghttp2_strerror(status));
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CLIENT_WINDOW}};
    nghttp2_session *session = connection->session;
    if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, COUNT(settings))
        || nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CLIENT_WINDOW))
        die("cannot start an HTTP/2 session");
}

static bool wire_feed(struct connection *connection, const uint8_t *bytes, size_t count) {
    ssize_t used = nghttp2_session_mem_recv(connection->session, bytes, count);
    if (used < 0) {
        char *error = connection->worker->totals.first_error;
        snprintf(error, sizeof connection->worker->totals.first_error, "HTTP/2: %s",
                 nghttp2_strerror((int)used));
        return false;
    }
    return nghttp2_session_want_read(connection->session) || nghttp2_session_want_write(connection->session);
}

static bool wire_fill(struct connection *connection, unsigned most) {
    uint64_t intended;
    nghttp2_session *session = connection->session;
    for (; connection->free_slots && most; most--) {
        /* After GOAWAY: finish what is in flight, then open a new connection. */
        if (!nghttp2_session_check_request_allowed(session)) return connection->in_flight > 0;
        if (!worker_take(connection->worker, &intended)) return true;
        struct slot *slot = slot_take(connection, intended);
        nghttp2_data_provider body = {.source.ptr = slot, .read_callback = read_body};
        slot->stream = nghttp2_submit_request(session, NULL, headers, header_count, &body, slot);
        if (slot->stream < 0) {
            slot_lost(slot, nghttp2_strerror(slot->stream));
            slot_release(slot);
            return false;
        }
    }
    return true;
}

static bool wire_pump(struct connection *connection) {
    for (;;) {
        const uint8_t *bytes;
        ssize_t count = 1;
        while (out_room(connection, LONGEST_CONTROL_FRAME)) {
            count = nghttp2_session_mem_send(connection->session, &bytes);
            if (count <= 0) break;
            out_copy(connection, bytes, (size_t)count);
        }
        if (count < 0) return false;
        bool more = connection->piece_count && !out_room(connection, LONGEST_CONTROL_FRAME);
        int state = out_flush(connection);
        if (state < 0) return false;
        if (state == 0 || !more) return true;
    }
}

static void wire_close(struct connection *connection) {
    nghttp2_session_del(connection->session);
    connection->session = NULL;
}

const struct wire http2_wire = {wire_setup, wire_open, wire_feed, wire_fill, wire_pump, wire_close};
