#include "body.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <zlib.h>

#include "util.h"

int body_signal(const char *path, size_t length, bool *grpc) {
    for (int signal = SIGNAL_TRACES; signal <= SIGNAL_LOGS; signal++) {
        const char *names[2] = {signal_http_path((enum signal)signal), signal_grpc_path((enum signal)signal)};
        for (int i = 0; i < 2; i++) {
            if (strlen(names[i]) != length || memcmp(names[i], path, length)) continue;
            *grpc = i == 1;
            return signal;
        }
    }
    return -1;
}

bool body_is_push(const char *path, size_t length) {
    static const char push[] = "/loki/api/v1/push";
    return length == sizeof push - 1 && !memcmp(path, push, length);
}

static bool keeps(const struct body_policy *policy) {
    return policy->keep || policy->count || policy->ids;
}

static void keep(struct body *body, const uint8_t *bytes, size_t count, size_t declared) {
    if (body->length + count > body->capacity) {
        size_t wanted =
            MAX(body->length + count, body->length ? body->length * 2 : MIN(declared, BODY_LIMIT));
        body->bytes = must_realloc(body->bytes, wanted);
        body->capacity = wanted;
    }
    memcpy(body->bytes + body->length, bytes, count);
    body->length += count;
}

static size_t prefixed_length(const struct body *body) {
    const uint8_t *p = body->prefix;
    return (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
}

void body_append(struct body *body, const struct body_policy *policy, const uint8_t *bytes, size_t count,
                 size_t declared) {
    while (body->grpc && body->prefix_length < 5 && count) {
        body->prefix[body->prefix_length++] = *bytes++;
        count--;
    }
    if (!count) return;
    body->received += count;
    if (body->received > BODY_LIMIT) {
        body->oversize = true;
        return;
    }
    if (keeps(policy)) keep(body, bytes, count, body->grpc ? prefixed_length(body) : declared);
}

void body_free(struct body *body) {
    free(body->bytes);
    body->bytes = NULL;
    body->length = body->capacity = 0;
}

/* ---- gzip: one or more members ---- */

static uint8_t *inflate_all(const uint8_t *bytes, size_t count, size_t *length) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)count};
    size_t capacity = MAX(count * 8, 4096), used = 0;
    uint8_t *plain = must_alloc(capacity);
    int status = inflateInit2(&z, 15 + 16);
    while (status == Z_OK) {
        if (used == capacity) plain = must_realloc(plain, capacity *= 2);
        z.next_out = plain + used;
        z.avail_out = (uInt)MIN(capacity - used, 1u << 30);
        uInt room = z.avail_out;
        status = inflate(&z, Z_NO_FLUSH);
        used += room - z.avail_out;
        if (used > BODY_LIMIT) status = Z_MEM_ERROR;
        if (status == Z_STREAM_END && z.avail_in) status = inflateReset(&z);
        if (status == Z_BUF_ERROR && !z.avail_out) status = Z_OK;
    }
    inflateEnd(&z);
    *length = used;
    if (status == Z_STREAM_END) return plain;
    free(plain);
    return NULL;
}

/* ---- walking the envelopes ---- */

struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t read_varint(struct cursor *c) {
    uint64_t value = 0;
    for (unsigned shift = 0; c->at < c->end && shift < 64; shift += 7) {
        uint8_t byte = *c->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    c->bad = true;
    return 0;
}

/* Steps to the next length-delimited field called `wanted` (or any of the bits in `mask`); false at the end.
 */
static bool next_field(struct cursor *c, uint32_t mask, struct cursor *inside) {
    while (c->at < c->end && !c->bad) {
        uint64_t tag = read_varint(c), skip = 0;
        switch (tag & 7) {
            case 0: read_varint(c); continue;
            case 1: skip = 8; break;
            case 5: skip = 4; break;
            case 2: skip = read_varint(c); break;
            default: c->bad = true; return false;
        }
        if (c->bad || skip > (uint64_t)(c->end - c->at)) {
            c->bad = true;
            return false;
        }
        const uint8_t *begin = c->at;
        c->at += skip;
        if ((tag & 7) != 2 || tag >> 3 > 31 || !(mask & 1u << (tag >> 3))) continue;
        *inside = (struct cursor){.at = begin, .end = c->at};
        return true;
    }
    return false;
}

static void record_id(struct cursor item, int signal, FILE *ids) {
    struct cursor id;
    if (!next_field(&item, signal == SIGNAL_TRACES ? 1u << 2 : 1u << 10, &id)) return;
    if (id.end - id.at == 8 && fwrite(id.at, 8, 1, ids) != 1) die("--record: write failed");
}

/* Items of one scope entry: spans, log records, or the points of its metrics. */
static bool walk_scope(struct cursor scope, int signal, FILE *ids, uint64_t *items) {
    struct cursor item, data, point;
    const uint32_t data_fields = 1u << 5 | 1u << 7 | 1u << 9 | 1u << 10 | 1u << 11;
    while (next_field(&scope, 1u << 2, &item)) {
        if (signal != SIGNAL_METRICS) {
            (*items)++;
            if (ids) record_id(item, signal, ids);
            continue;
        }
        while (next_field(&item, data_fields, &data)) {
            while (next_field(&data, 1u << 1, &point)) (*items)++;
            if (data.bad) return false;
        }
        if (item.bad) return false;
    }
    return !scope.bad;
}

static bool walk(const uint8_t *bytes, size_t length, int signal, FILE *ids, uint64_t *items) {
    struct cursor request = {.at = bytes, .end = bytes + length}, resource, scope;
    while (next_field(&request, 1u << 1, &resource)) {
        while (next_field(&resource, 1u << 2, &scope)) {
            if (!walk_scope(scope, signal, ids, items)) return false;
        }
        if (resource.bad) return false;
    }
    return !request.bad;
}

/* Entries of a Loki push: the same levels but one, inside a snappy block. */
static bool walk_push(const struct body *body, uint64_t *items) {
    size_t length;
    const char *block = (const char *)body->bytes;
    if (snappy_uncompressed_length(block, body->length, &length) || length > BODY_LIMIT) return false;
    uint8_t *plain = must_alloc(MAX(length, 1));
    bool good = !snappy_uncompress(block, body->length, (char *)plain, &length);
    struct cursor push = {.at = plain, .end = plain + length}, stream, entry;
    while (good && next_field(&push, 1u << 1, &stream)) {
        while (next_field(&stream, 1u << 2, &entry)) (*items)++;
        good = !stream.bad;
    }
    free(plain);
    return good && !push.bad;
}

enum body_result body_finish(struct body *body, const struct body_policy *policy, uint64_t *items) {
    if (body->oversize || body->signal < 0) return BODY_MALFORMED;
    if (body->grpc) {
        if (body->prefix_length < 5 || prefixed_length(body) != body->received) return BODY_MALFORMED;
        if (body->prefix[0] > 1 || (body->prefix[0] == 1 && !body->gzip)) return BODY_MALFORMED;
    }
    if (!policy->count && !policy->ids) return BODY_OK;
    const uint8_t *plain = body->bytes;
    uint8_t *inflated = NULL;
    size_t length = body->length;
    if (body->grpc ? body->prefix[0] == 1 : body->gzip) {
        plain = inflated = inflate_all(body->bytes, body->length, &length);
        if (!inflated) return BODY_MALFORMED;
    }
    uint64_t found = 0;
    bool good =
        body->push ? walk_push(body, &found) : walk(plain, length, body->signal, policy->ids, &found);
    free(inflated);
    if (!good) return BODY_MALFORMED;
    *items += found;
    return BODY_OK;
}
