#include "spans.h"

#include "hash.h"
#include "wire.h"

static void read_status(cotlp_run message, uint64_t *code) {
    const uint8_t *at = message.bytes, *end = message.bytes + message.count;
    uint64_t tag;
    *code = 0;
    while (at < end && read_varint(&at, end, &tag)) {
        if (!(tag == TAG(3, 0) ? read_varint(&at, end, code) : skip(&at, end, tag))) return;
    }
}

static inline int is_wanted(uint32_t kinds, uint64_t kind) {
    return kinds == COTLP_ANY_KIND || kinds == COTLP_TRACE_ID || (kind < 30 && kinds >> kind & 1);
}

/// Reads any field, slowly.
static int read_field(const uint8_t **at, const uint8_t *end, cotlp_span *span) {
    uint64_t tag;
    cotlp_run run;
    if (!read_varint(at, end, &tag)) return 0;
    switch (tag) {
        case TAG(1, BYTES): return read_run(at, end, &span->trace_id);
        case TAG(2, BYTES): return read_run(at, end, &span->span_id);
        case TAG(4, BYTES): return read_run(at, end, &span->parent_span_id);
        case TAG(5, BYTES): return read_run(at, end, &span->name);
        case TAG(6, 0): return read_varint(at, end, &span->kind);
        case TAG(7, FIXED64): return read_fixed64(at, end, &span->start_time);
        case TAG(8, FIXED64): return read_fixed64(at, end, &span->end_time);
        case TAG(9, BYTES): return read_run(at, end, &run);
        case TAG(15, BYTES):
            if (!read_run(at, end, &run)) return 0;
            read_status(run, &span->status);
            return 1;
        default: return skip(at, end, tag);
    }
}

/// A text or message whose length has one byte, behind a tag of one byte.
static inline int read_short(const uint8_t **at, const uint8_t *end, cotlp_run *run) {
    const uint8_t *p = *at;
    if (end - p < 2 || p[1] >= 0x80 || p[1] > end - p - 2) return 0;
    run->bytes = p + 2;
    run->count = p[1];
    *at = p + 2 + p[1];
    return 1;
}

static inline int read_time(const uint8_t **at, const uint8_t *end, uint64_t *time) {
    if (end - *at < 9) return 0;
    *time = load64(*at + 1);
    *at += 9;
    return 1;
}

/// Reads a field in its usual form, which takes a few instructions; 0 when it has another one.
static inline int read_usual(const uint8_t **at, const uint8_t *end, cotlp_span *span) {
    const uint8_t *p = *at;
    cotlp_run run;
    switch (*p) {
        case TAG(1, BYTES): return read_short(at, end, &span->trace_id);
        case TAG(2, BYTES): return read_short(at, end, &span->span_id);
        case TAG(4, BYTES): return read_short(at, end, &span->parent_span_id);
        case TAG(5, BYTES): return read_short(at, end, &span->name);
        case TAG(6, 0):
            if (end - p < 2 || p[1] >= 0x80) return 0;
            span->kind = p[1];
            *at = p + 2;
            return 1;
        case TAG(7, FIXED64): return read_time(at, end, &span->start_time);
        case TAG(8, FIXED64): return read_time(at, end, &span->end_time);
        case TAG(15, BYTES):
            if (!read_short(at, end, &run)) return 0;
            if (run.count == 2 && run.bytes[0] == TAG(3, 0) && run.bytes[1] < 0x80) {
                span->status = run.bytes[1];
            } else {
                read_status(run, &span->status);
            }
            return 1;
        default: return 0;
    }
}

static inline int read_span(const uint8_t *bytes, size_t count, uint32_t kinds, cotlp_span *span) {
    const uint8_t *p = bytes, *end = bytes + count, *first = NULL, *last = NULL;
    cotlp_run run;
    memset(span, 0, sizeof *span);
    span->whole = (cotlp_run){bytes, count};
    // The ids of the trace and the span come first as a rule.
    if (count >= 38 && p[0] == TAG(1, BYTES) && p[1] == 16 && p[18] == TAG(2, BYTES) && p[19] == 8) {
        span->trace_id = (cotlp_run){p + 2, 16};
        span->span_id = (cotlp_run){p + 20, 8};
        p += 28;
        if (kinds == COTLP_TRACE_ID) return 1;
        if (p[0] == TAG(4, BYTES) && p[1] == 8) {
            span->parent_span_id = (cotlp_run){p + 2, 8};
            p += 10;
        }
        // So do name, kind and times, in the order of their numbers.
        if (p < end && *p == TAG(5, BYTES)) read_short(&p, end, &span->name);
        if (end - p >= 20 && p[0] == TAG(6, 0) && p[1] < 0x80 && p[2] == TAG(7, FIXED64) && p[11] == TAG(8, FIXED64)) {
            span->kind = p[1];
            if (!is_wanted(kinds, span->kind)) return 0;
            span->start_time = load64(p + 3);
            span->end_time = load64(p + 12);
            p += 20;
        }
    }
    while (p < end) {
        uint8_t tag = *p;
        if (tag == TAG(9, BYTES)) {
            if (!first) first = p;
            // Most fields are attributes, one behind the other.
            // Far from the end none of them can reach behind it.
            const uint8_t *far = count > 129 ? end - 129 : bytes;
            while (p < far && *p == TAG(9, BYTES) && p[1] < 0x80) p += 2 + p[1];
            while (p < end && *p == TAG(9, BYTES) && read_short(&p, end, &run)) {}
            last = p;
            if (p == end) break;
            tag = *p;
        }
        // Most spans end with a status of a code alone and with flags.
        if (tag == TAG(15, BYTES) && end - p >= 4 && p[1] == 2 && p[2] == TAG(3, 0) && p[3] < 0x80) {
            span->status = p[3];
            p += 4;
            if (end - p == 6 && p[0] == (TAG(16, FIXED32) | 0x80) && p[1] == TAG(16, FIXED32) >> 7) break;
            continue;
        }
        if (!read_usual(&p, end, span)) {
            const uint8_t *at = p;
            if (!read_field(&at, end, span)) break;
            p = at;
            if (tag == TAG(9, BYTES)) last = p;
        }
        if (tag == TAG(6, 0) && !is_wanted(kinds, span->kind)) return 0;
    }
    if (first && last > first) {
        span->attributes.bytes = first;
        span->attributes.count = (size_t)(last - first);
    }
    return is_wanted(kinds, span->kind);
}

int cotlp_span_read(const uint8_t *bytes, size_t count, uint32_t kinds, cotlp_span *span) {
    return read_span(bytes, count, kinds, span);
}

size_t cotlp_spans_next(cotlp_points *fields, uint32_t kinds, cotlp_span *spans, const uint8_t **starts,
                        size_t most) {
    const uint8_t *at = fields->next, *end = fields->end;
    size_t count = 0;
    while (count < most && at < end) {
        const uint8_t *next = at;
        uint64_t tag;
        cotlp_run run;
        // The length of most spans has two bytes.
        if (end - at >= 3 && at[0] == TAG(2, BYTES) && at[1] >= 0x80 && at[2] < 0x80) {
            run = (cotlp_run){at + 3, (size_t)at[1] - 0x80 + ((size_t)at[2] << 7)};
            if (run.count > (size_t)(end - run.bytes)) break;
            next = run.bytes + run.count;
        } else if (!read_varint(&next, end, &tag) || tag != TAG(2, BYTES) || !read_run(&next, end, &run)) {
            break;
        }
        if (starts) starts[count] = at;
        count += (size_t)read_span(run.bytes, run.count, kinds, &spans[count]);
        at = next;
    }
    fields->next = at;
    return count;
}

int cotlp_field_pass(cotlp_points *fields) {
    const uint8_t *at = fields->next;
    uint64_t tag;
    int passed = at < fields->end && read_varint(&at, fields->end, &tag) && skip(&at, fields->end, tag);
    fields->next = passed ? at : fields->end;
    return passed;
}

void cotlp_prefetch(const uint8_t *bytes, size_t count) {
    if (!count) return;
    for (size_t line = 0; line < count; line += 64) __builtin_prefetch(bytes + line, 1);
    // What starts inside a line reaches into one more.
    __builtin_prefetch(bytes + count - 1, 1);
}

void cotlp_spans_hash(const cotlp_hash_key *key, cotlp_hash from, uint32_t what, const cotlp_span *spans,
                      size_t count, cotlp_hash *hashes) {
    for (size_t i = 0; i < count; i++) {
        cotlp_hash hash = from;
        if (what & COTLP_SPAN_KIND && spans[i].kind <= 5) hash.high ^= spans[i].kind;
        if (what & COTLP_SPAN_STATUS && spans[i].status <= 2) hash.low ^= spans[i].status << 8;
        hashes[i] = what & COTLP_SPAN_NAME ? hash_run(key, hash, spans[i].name.bytes, spans[i].name.count) : hash;
    }
}

void cotlp_spans_hash_edges(const cotlp_hash_key *key, uint32_t callers, const cotlp_span *spans, size_t count,
                            cotlp_hash *hashes) {
    cotlp_hash trace = {0, 0};
    cotlp_run last = {NULL, 0};
    for (size_t i = 0; i < count; i++) {
        cotlp_run id = spans[i].trace_id;
        if (!i || id.count != last.count || (id.count && memcmp(id.bytes, last.bytes, id.count))) {
            trace = hash_run(key, (cotlp_hash){0, 0}, id.bytes, id.count);
            last = id;
        }
        // Both are hashed as bytes: an id as what the hash of the trace starts from gave equal hashes for ids that repeat a
        // byte.
        int is_caller = spans[i].kind < 32 && callers >> spans[i].kind & 1;
        cotlp_run own = is_caller ? spans[i].span_id : spans[i].parent_span_id;
        hashes[i] = hash_run(key, trace, own.bytes, own.count);
    }
}

static cotlp_run find_key(cotlp_run message) {
    const uint8_t *at = message.bytes, *end = message.bytes + message.count;
    uint64_t tag;
    cotlp_run key = {message.bytes, 0};
    while (at < end && read_varint(&at, end, &tag)) {
        if (tag == TAG(1, BYTES)) {
            if (!read_run(&at, end, &key)) break;
            return key;
        }
        if (!skip(&at, end, tag)) break;
    }
    return key;
}

int cotlp_attribute_next(cotlp_points *fields, uint32_t number, uint64_t lengths, cotlp_attribute *found) {
    const uint8_t *at = fields->next, *end = fields->end;
    const uint32_t usual = (uint32_t)TAG(number, BYTES) | (uint32_t)TAG(1, BYTES) << 16;
    while (at < end) {
        uint64_t tag;
        cotlp_run run;
        // Most attributes and their keys are short, and most are passed over.
        while (end - at >= 4) {
            uint32_t head;
            memcpy(&head, at, 4);
            size_t left = (size_t)(end - at), count = 2 + (head >> 8 & 0x7f), key = head >> 24;
            if ((head & 0x80ff80ff) != usual || lengths >> (key < 63 ? key : 63) & 1) break;
            if (count < 4 + key || count > left) break;
            at += count;
        }
        if (at == end || !read_varint(&at, end, &tag)) break;
        if (tag != TAG(number, BYTES)) {
            if (!skip(&at, end, tag)) break;
            continue;
        }
        if (!read_run(&at, end, &run)) break;
        cotlp_run key;
        // The key is the first field as a rule, and short.
        if (run.count >= 2 && run.bytes[0] == TAG(1, BYTES) && run.bytes[1] < 0x80 &&
            run.bytes[1] <= run.count - 2) {
            key.bytes = run.bytes + 2;
            key.count = run.bytes[1];
        } else {
            key = find_key(run);
        }
        if (!(lengths >> (key.count < 63 ? key.count : 63) & 1)) continue;
        found->whole = run;
        found->key = key;
        fields->next = at;
        return 1;
    }
    fields->next = end;
    return 0;
}
