/* What a wire format does with requests and bytes: takes and ends requests, counting them, and queues output. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"
#include "util.h"

/* ---- output queue ---- */

bool out_room(const struct connection *c, size_t bytes) {
    return c->piece_count + 2 <= OUT_PIECES && c->arena_used + bytes <= OUT_ARENA;
}

void out_refer(struct connection *c, const void *bytes, size_t count) {
    c->pieces[c->piece_count++] = (struct iovec){(void *)(uintptr_t)bytes, count};
}

void out_copy(struct connection *c, const void *bytes, size_t count) {
    uint8_t *to = c->arena + c->arena_used;
    memcpy(to, bytes, count);
    c->arena_used += count;
    struct iovec *last = c->piece_count > c->piece_first ? &c->pieces[c->piece_count - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == to) {
        last->iov_len += count;
    } else {
        out_refer(c, to, count);
    }
}

static void want_write(struct connection *c, bool wanted) {
    if (c->want_write == wanted) return;
    c->want_write = wanted;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(c->worker->epoll, EPOLL_CTL_MOD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

int out_flush(struct connection *c) {
    while (c->piece_first < c->piece_count) {
        ssize_t n = writev(c->fd, c->pieces + c->piece_first, (int)(c->piece_count - c->piece_first));
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) return -1;
            want_write(c, true);
            return 0;
        }
        c->worker->totals.bytes_sent += (uint64_t)n;
        size_t left = (size_t)n;
        while (left && left >= c->pieces[c->piece_first].iov_len) left -= c->pieces[c->piece_first++].iov_len;
        if (!left) continue;
        struct iovec *piece = &c->pieces[c->piece_first];
        piece->iov_base = (uint8_t *)piece->iov_base + left;
        piece->iov_len -= left;
    }
    c->piece_first = c->piece_count = 0;
    c->arena_used = 0;
    want_write(c, false);
    return 1;
}

/* ---- requests ---- */

bool worker_take(struct worker *worker, uint64_t *intended_ns) {
    if (worker->issued >= worker->budget || worker->now_ns >= worker->end_ns) return false;
    *intended_ns = worker->now_ns;
    if (worker->interval_ns > 0) {
        *intended_ns = worker->start_ns + (uint64_t)((double)worker->issued * worker->interval_ns);
        if (*intended_ns > worker->now_ns || *intended_ns >= worker->end_ns) return false;
    }
    worker->issued++;
    return true;
}

static void number_payload(const struct worker *worker, uint8_t *bytes, uint64_t first) {
    const struct options *options = worker->options;
    if (options->whole)
        payload_number_traces(worker->payload, bytes,
                              ((options->seed << 6 | worker->index) << 32) + (first & 0xffffffff) / options->items,
                              options->series);
    else if (options->series)
        payload_number_series(worker->payload, bytes, first / options->items, options->series);
    else
        payload_number(worker->payload, bytes, first);
}

/* Gives a numbered request its own ids, and its own gzip body when asked for. */
static void number_request(struct slot *slot) {
    struct worker *worker = slot->connection->worker;
    const struct options *options = worker->options;
    size_t prefix = options->protocol == PROTOCOL_GRPC ? 5 : 0;
    slot->first_id = worker->next_id;
    worker->next_id += options->items;
    if (!options->gzip) {
        number_payload(worker, slot->message + prefix, slot->first_id);
        return;
    }
    uint8_t *plain = worker->payload->bytes;
    number_payload(worker, plain, slot->first_id);
    size_t length;
    uint8_t *body = payload_gzip(plain, worker->payload->length, (int)options->gzip_level, &length);
    slot->length = length + prefix;
    slot->message = must_realloc(slot->message, slot->length);
    if (prefix)
        memcpy(slot->message,
               (uint8_t[]){1, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                           (uint8_t)length},
               5);
    memcpy(slot->message + prefix, body, length);
    free(body);
}

struct slot *slot_take(struct connection *c, uint64_t intended_ns) {
    struct slot *slot = c->free_slots;
    if (!slot) return NULL;
    c->free_slots = slot->next_free;
    c->in_flight++;
    c->worker->in_flight++;
    slot->intended_ns = intended_ns;
    slot->sent = 0;
    slot->http_status = slot->grpc_status = -1;
    slot->retry_info = slot->answered = false;
    slot->busy = true;
    if (c->worker->options->unique) number_request(slot);
    return slot;
}

void slot_release(struct slot *slot) {
    slot->busy = false;
    slot->next_free = slot->connection->free_slots;
    slot->connection->free_slots = slot;
    slot->connection->in_flight--;
    slot->connection->worker->in_flight--;
}

static void accepted(struct slot *slot) {
    struct worker *worker = slot->connection->worker;
    struct totals *totals = &worker->totals;
    totals->ok++;
    histogram_record(&totals->latency, worker->now_ns - slot->intended_ns);
    if (!worker->options->acked) return;
    uint64_t record[2] = {slot->first_id, worker->options->items};
    if (fwrite(record, sizeof record, 1, worker->options->acked) != 1) die("--acked: write failed");
}

void slot_answered(struct slot *slot) {
    struct totals *totals = &slot->connection->worker->totals;
    bool grpc = slot->connection->worker->options->protocol == PROTOCOL_GRPC && slot->http_status == 200;
    totals->last_answer_ns = slot->connection->worker->now_ns;
    int status = slot->http_status;
    bool retryable = status == 429 || status == 502 || status == 503 || status == 504;
    if (grpc) {
        status = slot->grpc_status < 0 ? 2 : slot->grpc_status; /* no grpc-status: UNKNOWN */
        /* CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS; 8 only with RetryInfo
         */
        retryable = status == 1 || status == 4 || status == 10 || status == 11 || status == 14 || status == 15
                    || (status == 8 && slot->retry_info);
    }
    if (grpc ? status == 0 : status == 200) {
        accepted(slot);
        return;
    }
    totals->by_status[status >= 0 && status < STATUS_LIMIT ? status : 0]++;
    retryable ? totals->refused++ : totals->failed++;
}

void slot_lost(struct slot *slot, const char *reason) {
    struct totals *totals = &slot->connection->worker->totals;
    totals->transport++;
    if (!totals->first_error[0]) snprintf(totals->first_error, sizeof totals->first_error, "%s", reason);
}

void slot_refused(struct slot *slot) {
    slot->connection->worker->totals.refused++;
    slot->connection->worker->totals.by_status[14]++;
}
