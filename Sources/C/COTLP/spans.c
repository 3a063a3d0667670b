#include "spans.h"

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
    return kinds == COTLP_ANY_KIND || (kind < 32 && kinds >> kind & 1);
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

int cotlp_span_read(const uint8_t *bytes, size_t count, uint32_t kinds, cotlp_span *span) {
    const uint8_t *p = bytes, *end = bytes + count, *first = NULL, *last = NULL;
    cotlp_run run;
    memset(span, 0, sizeof *span);
    // The ids of the trace and the span come first as a rule.
    if (count >= 38 && p[0] == TAG(1, BYTES) && p[1] == 16 && p[18] == TAG(2, BYTES) && p[19] == 8) {
        span->trace_id = (cotlp_run){p + 2, 16};
        span->span_id = (cotlp_run){p + 20, 8};
        p += 28;
        if (p[0] == TAG(4, BYTES) && p[1] == 8) {
            span->parent_span_id = (cotlp_run){p + 2, 8};
            p += 10;
        }
    }
    while (p < end) {
        uint8_t tag = *p;
        if (tag == TAG(9, BYTES)) {
            if (!first) first = p;
            // Most fields are attributes, one behind the other.
            // Far from the end none of them can reach behind it.
            while (end - p > 129 && *p == TAG(9, BYTES) && p[1] < 0x80) p += 2 + p[1];
            while (p < end && *p == TAG(9, BYTES) && read_short(&p, end, &run)) {}
            last = p;
            if (p == end) break;
            tag = *p;
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
    while (at < end) {
        uint64_t tag;
        cotlp_run run;
        if (!read_varint(&at, end, &tag)) break;
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
