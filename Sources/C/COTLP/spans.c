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

/// Reads a field other than attributes, whose tag was read.
static inline int read_field(const uint8_t **at, const uint8_t *end, uint64_t tag, cotlp_span *span) {
    cotlp_run run;
    switch (tag) {
        case TAG(1, BYTES): return read_run(at, end, &span->trace_id);
        case TAG(2, BYTES): return read_run(at, end, &span->span_id);
        case TAG(4, BYTES): return read_run(at, end, &span->parent_span_id);
        case TAG(5, BYTES): return read_run(at, end, &span->name);
        case TAG(6, 0): return read_varint(at, end, &span->kind);
        case TAG(7, FIXED64): return read_fixed64(at, end, &span->start_time);
        case TAG(8, FIXED64): return read_fixed64(at, end, &span->end_time);
        case TAG(15, BYTES):
            if (!read_run(at, end, &run)) return 0;
            read_status(run, &span->status);
            return 1;
        default: return skip(at, end, tag);
    }
}

int cotlp_span_read(const uint8_t *bytes, size_t count, uint32_t kinds, cotlp_span *span) {
    const uint8_t *at = bytes, *end = bytes + count, *first = NULL, *last = NULL;
    uint64_t tag;
    memset(span, 0, sizeof *span);
    while (at < end) {
        // Most fields are attributes.
        const uint8_t *start = at;
        cotlp_run run;
        if (*at == TAG(9, BYTES)) {
            at++;
            if (!read_run(&at, end, &run)) break;
            if (!first) first = start;
            last = at;
            continue;
        }
        if (!read_varint(&at, end, &tag) || !read_field(&at, end, tag, span)) break;
        if (tag == TAG(6, 0) && !is_wanted(kinds, span->kind)) return 0;
    }
    if (first) {
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
