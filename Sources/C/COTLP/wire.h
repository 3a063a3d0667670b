// Fields of a protobuf message, one after another. Private to COTLP.
//
// Nothing at or after `end` is read; the functions that return an int return 0 when the bytes end too soon or are
// malformed.
#ifndef COTLP_WIRE_H
#define COTLP_WIRE_H

#include "points.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fixed fields are read as they lie in memory");

static inline uint64_t load64(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    return word;
}

int cotlp_read_long_varint(const uint8_t **at, const uint8_t *end, uint64_t *value);

static inline int read_varint(const uint8_t **at, const uint8_t *end, uint64_t *value) {
    const uint8_t *p = *at;
    if (p < end && *p < 0x80) {
        *value = *p;
        *at = p + 1;
        return 1;
    }
    // Copies: a variable whose address leaves the function is kept in memory, and each step of a walk waits for it there.
    uint64_t long_value;
    if (!cotlp_read_long_varint(&p, end, &long_value)) return 0;
    *value = long_value;
    *at = p;
    return 1;
}

static inline int read_fixed64(const uint8_t **at, const uint8_t *end, uint64_t *value) {
    if (end - *at < 8) return 0;
    *value = load64(*at);
    *at += 8;
    return 1;
}

static inline int read_run(const uint8_t **at, const uint8_t *end, cotlp_run *run) {
    uint64_t count;
    if (!read_varint(at, end, &count) || count > (uint64_t)(end - *at)) return 0;
    run->bytes = *at;
    run->count = (size_t)count;
    *at += count;
    return 1;
}

/// Goes on behind the value of a field that nobody asked for.
static inline int skip(const uint8_t **at, const uint8_t *end, uint64_t tag) {
    uint64_t value;
    cotlp_run run;
    switch (tag & 7) {
        case 0: return read_varint(at, end, &value);
        case 1: return read_fixed64(at, end, &value);
        case 2: return read_run(at, end, &run);
        case 5:
            if (end - *at < 4) return 0;
            *at += 4;
            return 1;
        default: return 0;
    }
}

enum {
    FIXED64 = 1,
    BYTES = 2,
    FIXED32 = 5,
};

#define TAG(number, type) ((uint64_t)(number) << 3 | (type))

#endif
