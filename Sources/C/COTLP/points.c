#include "hash.h"
#include "wire.h"

// ---- hash ----

cotlp_hash cotlp_hash_bytes(const cotlp_hash_key *key, cotlp_hash from, const uint8_t *bytes, size_t count) {
    return hash_run(key, from, bytes, count);
}

size_t cotlp_bounds_below(const double *bounds, size_t count, double value) {
    size_t below = 0;
    for (size_t i = 0; i < count; i++) below += !(value <= bounds[i]);
    return below;
}

// ---- fields ----

int cotlp_read_long_varint(const uint8_t **at, const uint8_t *end, uint64_t *value) {
    uint64_t result = 0;
    const uint8_t *p = *at;
    if (end - p >= 2 && p[0] >= 0x80 && p[1] < 0x80) {
        *value = (uint64_t)p[0] - 0x80 + ((uint64_t)p[1] << 7);
        *at = p + 2;
        return 1;
    }
    for (unsigned shift = 0; shift < 70 && p < end; shift += 7) {
        uint8_t byte = *p++;
        result |= (uint64_t)(byte & 0x7f) << (shift < 64 ? shift : 63);
        if (byte < 0x80) {
            *value = result;
            *at = p;
            return 1;
        }
    }
    return 0;
}

/// Hashes the field of attributes that starts at `start` and those that follow it directly. A tag that is
/// longer than it need be ends the run: that is another order of attributes, no more.
static inline int hash_attributes(const uint8_t **at, const uint8_t *end, uint64_t tag, const uint8_t *start,
                                  const cotlp_hash_key *key, cotlp_hash *hash) {
    cotlp_run run;
    if (!read_run(at, end, &run)) return 0;
    while (*at < end && **at == tag) {
        const uint8_t *next = *at + 1;
        if (!read_run(&next, end, &run)) return 0;
        *at = next;
    }
    *hash = hash_run(key, *hash, start, (size_t)(*at - start));
    return 1;
}

// ---- metrics ----

static void read_data(cotlp_metric *metric, cotlp_run data) {
    const uint8_t *at = data.bytes, *end = data.bytes + data.count;
    uint64_t tag, value;
    cotlp_run run;
    int has_temporality = metric->kind == 7 || metric->kind == 9 || metric->kind == 10;
    while (at < end && read_varint(&at, end, &tag)) {
        if (tag == TAG(1, BYTES)) {
            if (!read_run(&at, end, &run)) return;
            metric->points++;
        } else if (tag == TAG(2, 0) && has_temporality) {
            if (!read_varint(&at, end, &value)) return;
            metric->temporality = (uint32_t)value;
        } else if (tag == TAG(3, 0) && metric->kind == 7) {
            if (!read_varint(&at, end, &value)) return;
            metric->is_monotonic = value != 0;
        } else if (!skip(&at, end, tag)) {
            return;
        }
    }
}

void cotlp_metric_read(const uint8_t *bytes, size_t count, cotlp_metric *metric) {
    const uint8_t *at = bytes, *end = bytes + count;
    uint64_t tag;
    cotlp_run run;
    memset(metric, 0, sizeof *metric);
    while (at < end && read_varint(&at, end, &tag)) {
        switch (tag) {
            case TAG(1, BYTES):
                if (!read_run(&at, end, &metric->name)) return;
                break;
            case TAG(2, BYTES):
                if (!read_run(&at, end, &metric->description)) return;
                break;
            case TAG(3, BYTES):
                if (!read_run(&at, end, &metric->unit)) return;
                break;
            case TAG(5, BYTES):
            case TAG(7, BYTES):
            case TAG(9, BYTES):
            case TAG(10, BYTES):
            case TAG(11, BYTES): {
                uint32_t kind = (uint32_t)(tag >> 3);
                if (!read_run(&at, end, &run)) return;
                if (metric->kind != kind) {
                    // Of several kinds the last one counts.
                    metric->points = 0;
                    metric->temporality = 0;
                    metric->is_monotonic = 0;
                    metric->is_scattered = metric->kind != 0;
                    metric->kind = kind;
                } else {
                    metric->is_scattered = 1;
                }
                metric->data = run;
                read_data(metric, run);
                break;
            }
            case TAG(12, BYTES):
                if (!read_run(&at, end, &run)) return;
                metric->has_metadata = 1;
                break;
            default:
                if (!skip(&at, end, tag)) return;
        }
    }
}

// ---- points ----

/// Finds the next point and makes it empty.
static inline int next_point(cotlp_points *points, cotlp_hash from, cotlp_point *point) {
    uint64_t tag;
    cotlp_run run;
    const uint8_t *at = points->next;
    while (at < points->end && read_varint(&at, points->end, &tag)) {
        if (tag != TAG(1, BYTES)) {
            if (!skip(&at, points->end, tag)) break;
            continue;
        }
        if (!read_run(&at, points->end, &run)) break;
        points->next = at;
        memset(point, 0, sizeof *point);
        point->whole = run;
        point->hash = from;
        return 1;
    }
    points->next = points->end;
    return 0;
}

int cotlp_number_next(cotlp_points *points, const cotlp_hash_key *key, cotlp_hash from, cotlp_point *point) {
    if (!next_point(points, from, point)) return 0;
    const uint8_t *at = point->whole.bytes, *end = at + point->whole.count;
    uint64_t tag, value;
    cotlp_run run;
    while (at < end) {
        const uint8_t *start = at;
        if (!read_varint(&at, end, &tag)) return 1;
        switch (tag) {
            case TAG(2, FIXED64):
                if (!read_fixed64(&at, end, &point->start_time)) return 1;
                break;
            case TAG(3, FIXED64):
                if (!read_fixed64(&at, end, &point->time)) return 1;
                break;
            case TAG(4, FIXED64):
                if (!read_fixed64(&at, end, &point->number)) return 1;
                point->number_kind = COTLP_DOUBLE;
                break;
            case TAG(5, BYTES):
                if (!read_run(&at, end, &run)) return 1;
                point->has_exemplars = 1;
                break;
            case TAG(6, FIXED64):
                if (!read_fixed64(&at, end, &point->number)) return 1;
                point->number_kind = COTLP_INT;
                break;
            case TAG(7, BYTES):
                if (!hash_attributes(&at, end, tag, start, key, &point->hash)) return 1;
                break;
            case TAG(8, 0):
                if (!read_varint(&at, end, &value)) return 1;
                point->flags = (uint32_t)value;
                break;
            default:
                if (!skip(&at, end, tag)) return 1;
        }
    }
    return 1;
}

int cotlp_histogram_next(cotlp_points *points, const cotlp_hash_key *key, cotlp_hash from,
                         cotlp_point *point) {
    if (!next_point(points, from, point)) return 0;
    const uint8_t *at = point->whole.bytes, *end = at + point->whole.count;
    uint64_t tag, value;
    cotlp_run run;
    while (at < end) {
        const uint8_t *start = at;
        if (!read_varint(&at, end, &tag)) return 1;
        switch (tag) {
            case TAG(2, FIXED64):
                if (!read_fixed64(&at, end, &point->start_time)) return 1;
                break;
            case TAG(3, FIXED64):
                if (!read_fixed64(&at, end, &point->time)) return 1;
                break;
            case TAG(4, FIXED64):
                if (!read_fixed64(&at, end, &point->count)) return 1;
                break;
            case TAG(5, FIXED64):
                if (!read_fixed64(&at, end, &point->number)) return 1;
                point->number_kind = COTLP_DOUBLE;
                break;
            case TAG(6, BYTES):
                if (!read_run(&at, end, &run)) return 1;
                if (point->counts.count || run.count % 8) point->is_scattered = 1;
                point->counts = run;
                break;
            case TAG(7, BYTES):
                if (!read_run(&at, end, &run)) return 1;
                if (point->bounds.count || run.count % 8) point->is_scattered = 1;
                point->bounds = run;
                break;
            case TAG(6, FIXED64):
            case TAG(7, FIXED64):
                if (!read_fixed64(&at, end, &value)) return 1;
                point->is_scattered = 1;
                break;
            case TAG(8, BYTES):
                if (!read_run(&at, end, &run)) return 1;
                point->has_exemplars = 1;
                break;
            case TAG(9, BYTES):
                if (!hash_attributes(&at, end, tag, start, key, &point->hash)) return 1;
                break;
            case TAG(10, 0):
                if (!read_varint(&at, end, &value)) return 1;
                point->flags = (uint32_t)value;
                break;
            default:
                if (!skip(&at, end, tag)) return 1;
        }
    }
    return 1;
}

int cotlp_point_next(cotlp_points *points, uint32_t attributes, const cotlp_hash_key *key, cotlp_hash from,
                     cotlp_point *point) {
    if (!next_point(points, from, point)) return 0;
    const uint8_t *at = point->whole.bytes, *end = at + point->whole.count;
    uint64_t tag;
    while (at < end) {
        const uint8_t *start = at;
        if (!read_varint(&at, end, &tag)) return 1;
        if (tag == TAG(attributes, BYTES)) {
            if (!hash_attributes(&at, end, tag, start, key, &point->hash)) return 1;
        } else if (!skip(&at, end, tag)) {
            return 1;
        }
    }
    return 1;
}
