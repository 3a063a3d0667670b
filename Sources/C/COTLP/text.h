// UTF-8, sixteen bytes at a time where the text is ASCII. Private to COTLP.
#ifndef COTLP_TEXT_H
#define COTLP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define COTLP_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define COTLP_LIKELY(condition) __builtin_expect(!!(condition), 1)

/// The high bits of 16 bytes, bit i for byte i.
static inline uint32_t cotlp_high_bits16(const uint8_t *p) {
#if defined(__SSE2__)
    return (uint32_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    uint64_t low, high;
    memcpy(&low, p, 8);
    memcpy(&high, p + 8, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    low = __builtin_bswap64(low), high = __builtin_bswap64(high);
#endif
    // The multiplication gathers the eight flag bits, 8 apart, in the top byte.
    low = ((low >> 7 & 0x0101010101010101u) * 0x0102040810204080u) >> 56;
    high = ((high >> 7 & 0x0101010101010101u) * 0x0102040810204080u) >> 56;
    return (uint32_t)(low | high << 8);
#endif
}

/// The high bits of 64 bytes, bit i for byte i.
static inline uint64_t cotlp_high_bits64(const uint8_t *p) {
    uint64_t first = cotlp_high_bits16(p) | (uint64_t)cotlp_high_bits16(p + 16) << 16;
    uint64_t second = cotlp_high_bits16(p + 32) | (uint64_t)cotlp_high_bits16(p + 48) << 16;
    return first | second << 32;
}

/// Whether count bytes are all ASCII. Reads up to 15 bytes behind them, never at or after limit.
static inline bool cotlp_is_ascii(const uint8_t *p, size_t count, const uint8_t *limit) {
    if (COTLP_LIKELY(count <= 16 && (size_t)(limit - p) >= 16)) {
        return (cotlp_high_bits16(p) & ((1u << count) - 1)) == 0;
    }
    if (count < 16) {
        uint8_t all = 0;
        for (size_t i = 0; i < count; i++) all |= p[i];
        return all < 0x80;
    }
    const uint8_t *last = p + count - 16;
#if defined(__SSE2__)
    __m128i all = _mm_loadu_si128((const __m128i *)(const void *)last);
    for (; p < last; p += 16) all = _mm_or_si128(all, _mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm_movemask_epi8(all) == 0;
#else
    uint64_t all[2], next[2];
    memcpy(all, last, 16);
    for (; p < last; p += 16) {
        memcpy(next, p, 16);
        all[0] |= next[0], all[1] |= next[1];
    }
    return ((all[0] | all[1]) & 0x8080808080808080u) == 0;
#endif
}

/// The offset of the first byte of the first sequence that is not UTF-8; count when all is well.
/// Refuses overlong forms, surrogates and code points above U+10FFFF (RFC 3629).
size_t cotlp_utf8_prefix(const uint8_t *p, size_t count);

/// Writes the text with U+FFFD for each longest wrong part, at most 3 times count bytes; nothing when output is NULL.
/// Returns how many bytes it takes.
size_t cotlp_utf8_repair(const uint8_t *p, size_t count, uint8_t *output);

#endif
