#include "fields.h"

#include "wire.h"

// In C, because the same loops in Swift took 85 instructions a field, these 40: a span has twenty.

/// Bytes of the key of the field whose four first bytes are `head`: a KeyValue of less than 128 bytes in the usual form that
/// ends at `end`, with a tag of one byte.
static inline uint8_t short_key(const uint8_t *field, uint32_t head, size_t size) {
    size_t key = head >> 24;
    if ((head & 0x80ff0000) != 0x000a0000 || 6 + key > size) return COTLP_UNUSUAL;
    return field[4 + key] == TAG(2, BYTES) && 6 + key + field[5 + key] == size ? (uint8_t)key : COTLP_UNUSUAL;
}

/// Bytes of the field whose four first bytes are `head`: with a tag of one byte, and behind it less than 128 bytes of content,
/// a number below 128, or eight bytes. 0: one look is not enough.
static inline size_t short_size(uint32_t head) {
    switch (head & 0x87) {
        case BYTES: return head & 0x8000 ? 0 : 2 + (head >> 8 & 0x7f);
        case FIXED64: return 9;
        case 0: return head & 0x8000 ? 0 : 2;
        default: return 0;
    }
}

uint8_t cotlp_key_count(const uint8_t *message, size_t count) {
    if (count < 4 || message[0] != TAG(1, BYTES) || message[1] >= 0x80) return COTLP_UNUSUAL;
    size_t key = message[1], at = 2 + key;
    if (at + 2 > count || message[at] != TAG(2, BYTES)) return COTLP_UNUSUAL;
    size_t value = message[at + 1];
    at += 2;
    if (value >= 0x80) {
        if (at == count || message[at] >= 0x80) return COTLP_UNUSUAL;
        value = (value & 0x7f) | (size_t)message[at++] << 7;
    }
    return at + value == count ? (uint8_t)key : COTLP_UNUSUAL;
}

size_t cotlp_fields(
    const uint8_t *message, size_t count, size_t *at, cotlp_field *fields, size_t room, size_t position, uint8_t *last) {
    const uint8_t *next = message + *at, *end = message + count;
    cotlp_field *field = fields, *limit = fields + room;
    while (next < end && field < limit) {
        size_t left = (size_t)(end - next), size = 0;
        uint32_t number = 0;
        uint8_t type = 0, head_count = 1, key = COTLP_UNUSUAL;
        if (left >= 4) {
            uint32_t head;
            memcpy(&head, next, 4);
            number = head >> 3 & 15;
            type = head & 7;
            size = short_size(head);
            if (type == BYTES) {
                head_count = 2;
                if (size <= left) key = short_key(next, head, size);
            }
        }
        if (number == 0 || size == 0 || size > left) {
            const uint8_t *behind = next;
            uint64_t tag;
            if (!read_varint(&behind, end, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) break;
            number = (uint32_t)(tag >> 3);
            type = tag & 7;
            key = COTLP_UNUSUAL;
            if (type == BYTES) {
                cotlp_run run;
                if (!read_run(&behind, end, &run)) break;
                head_count = (uint8_t)(run.bytes - next);
                key = cotlp_key_count(run.bytes, run.count);
            } else {
                head_count = (uint8_t)(behind - next);
                if (!skip(&behind, end, tag)) break;
            }
            size = (size_t)(behind - next);
        }
        size_t start = (size_t)(next - message);
        *field++ = (cotlp_field){number, key, type, head_count, 0, (uint32_t)start, (uint32_t)(start + size), -1, -1};
        last[number & 15] = position < 254 ? (uint8_t)position : 254;
        position++;
        next += size;
    }
    *at = field < limit || next == end ? count : (size_t)(next - message);
    return (size_t)(field - fields);
}

static int is_same(const uint8_t *one, const uint8_t *other, size_t count) {
    if (count >= 8) return load64(one) == load64(other) && memcmp(one + 8, other + 8, count - 8) == 0;
    return memcmp(one, other, count) == 0;
}

size_t cotlp_attribute_find(
    const uint8_t *message, size_t count, size_t *at, uint32_t number, const uint8_t *key, size_t key_count,
    int *is_usual) {
    const uint8_t *next = message + *at, *end = message + count;
    const uint32_t usual = number < 16 ? (uint32_t)TAG(number, BYTES) : UINT32_MAX;
    while (next < end) {
        size_t left = (size_t)(end - next);
        if (left >= 4) {
            uint32_t head;
            memcpy(&head, next, 4);
            size_t size = short_size(head);
            if (size != 0 && size <= left) {
                if ((head & 0xff) != usual) {
                    if ((head & 0x78) == 0) break;
                    next += size;
                    continue;
                }
                uint8_t found = short_key(next, head, size);
                if (found != COTLP_UNUSUAL) {
                    if (found == key_count && is_same(next + 4, key, key_count)) {
                        *at = (size_t)(next - message) + size;
                        *is_usual = 1;
                        return (size_t)(next - message) + 2;
                    }
                    next += size;
                    continue;
                }
            }
        }
        // Whatever is written otherwise.
        uint64_t tag;
        if (!read_varint(&next, end, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) break;
        if (tag != TAG(number, BYTES)) {
            if (!skip(&next, end, tag)) break;
            continue;
        }
        cotlp_run run;
        if (!read_run(&next, end, &run)) break;
        *at = (size_t)(next - message);
        *is_usual = 0;
        return (size_t)(run.bytes - message);
    }
    *is_usual = -1;
    return count;
}
