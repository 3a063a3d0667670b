#include "fields.h"

#include "wire.h"

// In C: the row of a span of 19 fields takes 1 494 instructions, the same loop in Swift took 1 600; to look for one attribute takes
// 794, in Swift 781. What all SDKs write nearly always, an attribute with a tag of one byte and less than 128 bytes, takes one look
// at four bytes and one at the head of its value.

/// What the four first bytes of such an attribute have in common, but for its number: a tag, a length and the length of a key of
/// one byte each.
enum { ATTRIBUTE_MASK = 0x80ff8087, ATTRIBUTE = 0x000a0002 };

/// Bytes of such an attribute whose four first bytes are `head`; 0: it is in another form, or longer than `left`.
static inline uint32_t attribute_size(const uint8_t *field, uint32_t head, size_t left) {
    uint32_t size = 2 + (head >> 8 & 0xff), key_end = 4 + (head >> 24);
    if (size > left || key_end + 2 > size) return 0;
    return field[key_end] == TAG(2, BYTES) && key_end + 2 + field[key_end + 1] == size ? size : 0;
}

/// Bytes of a field whose four first bytes are `head`: with a tag of one byte, and behind it less than 128 bytes of content, a
/// number below 128, or eight bytes. 0: one look is not enough.
static inline uint32_t short_size(uint32_t head) {
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

/// Any field, and where it ends; 0: it is malformed.
static size_t read_field(const uint8_t *next, const uint8_t *end, cotlp_field *field) {
    const uint8_t *behind = next;
    uint64_t tag;
    if (!read_varint(&behind, end, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) return 0;
    field->number = (uint32_t)(tag >> 3);
    field->wire_type = tag & 7;
    field->key_count = COTLP_UNUSUAL;
    if ((tag & 7) == BYTES) {
        cotlp_run run;
        if (!read_run(&behind, end, &run)) return 0;
        field->head_count = (uint8_t)(run.bytes - next);
        field->key_count = cotlp_key_count(run.bytes, run.count);
    } else {
        field->head_count = (uint8_t)(behind - next);
        if (!skip(&behind, end, tag)) return 0;
    }
    return (size_t)(behind - next);
}

size_t cotlp_fields(
    const uint8_t *message, size_t count, size_t *at, cotlp_field *fields, size_t room, size_t position, uint8_t *last) {
    const uint8_t *next = message + *at, *end = message + count;
    cotlp_field *field = fields, *limit = fields + room;
    for (; next < end && field < limit; field++, position++) {
        size_t left = (size_t)(end - next), size = 0;
        *field = (cotlp_field){.head_count = 2, .wire_type = BYTES, .child = -1, .made = -1};
        if (left >= 4) {
            uint32_t head;
            memcpy(&head, next, 4);
            field->number = head >> 3 & 15;
            if ((head & ATTRIBUTE_MASK) == ATTRIBUTE && (size = attribute_size(next, head, left)) != 0) {
                field->key_count = (uint8_t)(head >> 24);
            } else {
                size = short_size(head);
                field->key_count = COTLP_UNUSUAL;
                field->wire_type = head & 7;
                if ((head & 7) != BYTES) field->head_count = 1;
            }
        }
        if (field->number == 0 || size == 0 || size > left) {
            size = read_field(next, end, field);
            if (size == 0) break;
        }
        field->start = (uint32_t)(next - message);
        next += size;
        field->end = (uint32_t)(next - message);
        last[field->number & 15] = position < 254 ? (uint8_t)position : 254;
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
    const uint32_t tag_byte = number < 16 ? (uint32_t)TAG(number, BYTES) : UINT32_MAX;
    while (next < end) {
        size_t left = (size_t)(end - next);
        if (left >= 4) {
            uint32_t head, size;
            memcpy(&head, next, 4);
            if ((head & 0xff) != tag_byte) {
                size = short_size(head);
                if (size != 0 && size <= left && (head & 0x78) != 0) {
                    next += size;
                    continue;
                }
            } else if ((head & ATTRIBUTE_MASK) == ATTRIBUTE && (size = attribute_size(next, head, left)) != 0) {
                if (head >> 24 == key_count && is_same(next + 4, key, key_count)) {
                    *at = (size_t)(next - message) + size;
                    *is_usual = 1;
                    return (size_t)(next - message) + 2;
                }
                next += size;
                continue;
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

// A row of a span of 19 fields takes 108 ns, its attributes alone 60.
ptrdiff_t cotlp_overlay_read(const uint8_t *message, size_t count, uint32_t number, cotlp_overlaid *attributes) {
    const uint8_t *next = message, *end = message + count;
    const uint32_t tag_byte = number < 16 ? (uint32_t)TAG(number, BYTES) : UINT32_MAX;
    cotlp_overlaid *attribute = attributes, *limit = attributes + COTLP_OVERLAY_MAX;
    while (next < end) {
        size_t left = (size_t)(end - next);
        if (left >= 4) {
            uint32_t head, size;
            memcpy(&head, next, 4);
            if ((head & 0xff) != tag_byte) {
                size = short_size(head);
                if (size != 0 && size <= left && (head & 0x78) != 0) {
                    next += size;
                    continue;
                }
            } else if (
                attribute < limit && (head & ATTRIBUTE_MASK) == ATTRIBUTE
                && (size = attribute_size(next, head, left)) != 0) {
                *attribute++ = (cotlp_overlaid){next + 2, size - 2, (uint32_t)(next - message), (uint8_t)(head >> 24)};
                next += size;
                continue;
            }
        }
        // Whatever is written otherwise.
        const uint8_t *start = next;
        uint64_t tag;
        if (!read_varint(&next, end, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) return -1;
        if (tag >> 3 != number) {
            if (!skip(&next, end, tag)) return -1;
            continue;
        }
        cotlp_run run;
        if (attribute == limit || (tag & 7) != BYTES || !read_run(&next, end, &run)) return -1;
        uint8_t key_count = cotlp_key_count(run.bytes, run.count);
        if (key_count == COTLP_UNUSUAL) return -1;
        *attribute++ = (cotlp_overlaid){run.bytes, (uint32_t)run.count, (uint32_t)(start - message), key_count};
    }
    return attribute - attributes;
}

ptrdiff_t cotlp_overlay_find(
    const cotlp_overlaid *attributes, size_t from, size_t count, const uint8_t *key, size_t key_count) {
    // No usual key is longer; a removed attribute has another count.
    if (key_count >= 128) return -1;
    for (size_t index = from; index < count; index++) {
        if (attributes[index].key_count == key_count && is_same(attributes[index].content + 2, key, key_count)) {
            return (ptrdiff_t)index;
        }
    }
    return -1;
}
