/* gRPC and OTLP/HTTP over HTTP/2 at the sink. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink.h"
#include "util.h"

struct stream {
    struct body body;
    bool ended;
    int status;
    int32_t id;
    size_t declared;
    struct stream *next, **link; /* in the connection's list of open streams, or in the list of free ones */
};

static nghttp2_session_callbacks *callbacks;
static struct stream *free_streams;

#define FIELD(name, value)                                                                             \
    {(uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1, sizeof(value) - 1, \
     NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE}

static nghttp2_nv text_field(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                        0};
}

/* ---- answering ---- */

/* The body of every accepted gRPC call: an empty message; then the trailers. */
static ssize_t read_empty_message(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t length,
                                  uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)length, (void)source, (void)user;
    static const nghttp2_nv trailers[] = {FIELD("grpc-status", "0")};
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (nghttp2_submit_trailer(session, stream, trailers, COUNT(trailers)))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    memset(buffer, 0, 5);
    return 5;
}

static void answer_grpc(nghttp2_session *session, int32_t id, int status) {
    if (status == 0) {
        static const nghttp2_nv head[] = {FIELD(":status", "200"), FIELD("content-type", "application/grpc")};
        nghttp2_data_provider body = {.read_callback = read_empty_message};
        nghttp2_submit_response(session, id, head, COUNT(head), &body);
        return;
    }
    char number[12];
    snprintf(number, sizeof number, "%d", grpc_status_of(status));
    nghttp2_nv head[5] = {FIELD(":status", "200"), FIELD("content-type", "application/grpc")};
    size_t count = 2;
    head[count++] = text_field("grpc-status", number);
    head[count++] = text_field("grpc-message", "refused by the sink as it was told to");
    if (sink_options.retry_info >= 0)
        head[count++] = text_field("grpc-status-details-bin", sink_retry_details);
    nghttp2_submit_response(session, id, head, count, NULL);
}

static void answer_http(nghttp2_session *session, int32_t id, int status) {
    char number[12], seconds[12];
    snprintf(number, sizeof number, "%d", http_status_of(status));
    snprintf(seconds, sizeof seconds, "%d", sink_options.retry_info);
    nghttp2_nv head[3] = {text_field(":status", number), FIELD("content-type", "application/x-protobuf")};
    size_t count = 2;
    if (status && sink_options.retry_info >= 0) head[count++] = text_field("retry-after", seconds);
    nghttp2_submit_response(session, id, head, count, NULL);
}

static void put_answer(struct sink_connection *connection, int32_t id, int status) {
    struct stream *stream = nghttp2_session_get_stream_user_data(connection->session, id);
    if (!stream) return; /* reset while the answer was delayed */
    if (stream->body.grpc) {
        answer_grpc(connection->session, id, status);
    } else {
        answer_http(connection->session, id, status);
    }
}

/* ---- receiving ---- */

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct sink_connection *connection = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    struct stream *stream = free_streams;
    if (stream) {
        free_streams = stream->next;
        memset(stream, 0, sizeof *stream);
    } else {
        stream = must_calloc(1, sizeof *stream);
    }
    stream->body.signal = -1;
    stream->id = frame->hd.stream_id;
    stream->next = connection->streams;
    stream->link = &connection->streams;
    if (stream->next) stream->next->link = &stream->next;
    connection->streams = stream;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
}

static bool is(const uint8_t *text, size_t length, const char *wanted) {
    return strlen(wanted) == length && !memcmp(text, wanted, length);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user) {
    (void)flags, (void)user;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!stream) return 0;
    if (is(name, name_length, ":path")) {
        stream->body.signal = body_signal((const char *)value, value_length, &stream->body.grpc);
    } else if (is(name, name_length, "grpc-encoding") || is(name, name_length, "content-encoding")) {
        stream->body.gzip = is(value, value_length, "gzip");
    } else if (is(name, name_length, "content-length")) {
        stream->declared = (size_t)strtoull((const char *)value, NULL, 10); /* nghttp2 ends values with 0 */
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t count,
                   void *user) {
    (void)flags, (void)user;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream) body_append(&stream->body, &sink_options.policy, bytes, count, stream->declared);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct sink_connection *connection = user;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!stream) return 0;
    stream->ended = true;
    sink_totals.grpc += stream->body.grpc;
    sink_totals.http2 += !stream->body.grpc;
    int status = sink_decide(&stream->body);
    body_free(&stream->body);
    if (sink_options.delay_ns) {
        sink_delay(connection, frame->hd.stream_id, status);
    } else {
        put_answer(connection, frame->hd.stream_id, status);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user) {
    (void)error, (void)user;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (!stream) return 0;
    sink_totals.aborted += !stream->ended;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    body_free(&stream->body);
    *stream->link = stream->next;
    if (stream->next) stream->next->link = stream->link;
    stream->next = free_streams;
    free_streams = stream;
    return 0;
}

/* ---- the connection ---- */

static void wire_setup(void) {
    if (nghttp2_session_callbacks_new(&callbacks)) die("out of memory");
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
}

static bool wire_open(struct sink_connection *connection) {
    nghttp2_option *option;
    if (nghttp2_option_new(&option)) die("out of memory");
    nghttp2_option_set_no_closed_streams(option, 1);
    int status = nghttp2_session_server_new2(&connection->session, callbacks, connection, option);
    nghttp2_option_del(option);
    if (status) die("nghttp2_session_server_new2: %s", nghttp2_strerror(status));
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, sink_options.max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)sink_options.window},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, sink_options.max_frame_size}};
    nghttp2_session *session = connection->session;
    return !nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, COUNT(settings))
           && !nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, sink_options.window);
}

static bool pump(struct sink_connection *connection) {
    const uint8_t *bytes;
    ssize_t count;
    while ((count = nghttp2_session_mem_send(connection->session, &bytes)) > 0) {
        sink_write(connection, bytes, (size_t)count);
    }
    if (count < 0) return false;
    return nghttp2_session_want_read(connection->session) || nghttp2_session_want_write(connection->session);
}

static void wire_close(struct sink_connection *connection) {
    /* nghttp2 does not call on_close for streams that are open when the session goes. */
    while (connection->streams) on_close(connection->session, connection->streams->id, 0, NULL);
    nghttp2_session_del(connection->session);
    connection->session = NULL;
}

static bool wire_feed(struct sink_connection *connection, const uint8_t *bytes, size_t count) {
    return nghttp2_session_mem_recv(connection->session, bytes, count) >= 0 && pump(connection);
}

static bool wire_answer(struct sink_connection *connection, int32_t stream, int status) {
    put_answer(connection, stream, status);
    return pump(connection);
}

const struct sink_wire sink_http2_wire = {wire_setup, wire_open, wire_feed, wire_answer, wire_close};
