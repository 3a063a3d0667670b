#include "text.h"

static inline bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/// The length of the valid sequence at p, which starts with a byte >= 0x80; 0 when it is not UTF-8.
static size_t sequence_length(const uint8_t *p, size_t left) {
    uint8_t lead = p[0];
    if (lead < 0xC2) return 0; // a continuation byte, or the overlong C0 and C1
    if (lead < 0xE0) return left >= 2 && is_continuation(p[1]) ? 2 : 0;
    if (left < 3 || !is_continuation(p[1]) || !is_continuation(p[2])) return 0;
    if (lead < 0xF0) {
        if (lead == 0xE0 && p[1] < 0xA0) return 0;  // overlong
        if (lead == 0xED && p[1] >= 0xA0) return 0; // surrogate
        return 3;
    }
    if (left < 4 || !is_continuation(p[3])) return 0;
    if (lead == 0xF0 && p[1] < 0x90) return 0;              // overlong
    if (lead > 0xF4 || (lead == 0xF4 && p[1] >= 0x90)) return 0; // above U+10FFFF
    return 4;
}

size_t cotlp_utf8_prefix(const uint8_t *p, size_t count) {
    size_t i = 0;
    while (i < count) {
        if (p[i] < 0x80) {
            if (count - i >= 16) {
                uint32_t high = cotlp_high_bits16(p + i);
                i += high == 0 ? 16 : (size_t)__builtin_ctz(high);
            } else {
                i += 1;
            }
            continue;
        }
        size_t length = sequence_length(p + i, count - i);
        if (length == 0) return i;
        i += length;
    }
    return count;
}

/// How many bytes at p, which begin no valid sequence, are one wrong part: the longest beginning of a valid sequence,
/// or one byte.
static size_t wrong_part(const uint8_t *p, size_t left) {
    uint8_t lead = p[0];
    if (lead < 0xC2 || lead > 0xF4 || left < 2 || !is_continuation(p[1])) return 1;
    if ((lead == 0xE0 && p[1] < 0xA0) || (lead == 0xED && p[1] >= 0xA0)) return 1;
    if ((lead == 0xF0 && p[1] < 0x90) || (lead == 0xF4 && p[1] >= 0x90)) return 1;
    return lead >= 0xF0 && left >= 3 && is_continuation(p[2]) ? 3 : 2;
}

size_t cotlp_utf8_repair(const uint8_t *p, size_t count, uint8_t *output) {
    static const uint8_t replacement[3] = {0xEF, 0xBF, 0xBD};
    size_t written = 0;
    for (size_t i = 0; i < count;) {
        size_t valid = cotlp_utf8_prefix(p + i, count - i);
        if (output != NULL) memcpy(output + written, p + i, valid);
        i += valid, written += valid;
        if (i == count) break;
        if (output != NULL) memcpy(output + written, replacement, sizeof replacement);
        written += sizeof replacement;
        i += wrong_part(p + i, count - i);
    }
    return written;
}
