// SHA-256 (FIPS 180-4) of two messages at once. A processor's instructions for it take four cycles each and wait for one another, so
// that two messages together take little longer than one.
#include "CNettle.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define WITH_SHA __attribute__((target("sha,ssse3,sse4.1")))

static int has_instructions(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

// The words of a state in the order in which the instructions want them, and what the next four rounds add.
typedef struct {
    __m128i abef, cdgh, words[4];
} lane;

WITH_SHA static inline void load(lane *lane, const uint32_t *state) {
    const __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    const __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    lane->abef = _mm_alignr_epi8(low, high, 8);
    lane->cdgh = _mm_blend_epi16(high, low, 0xF0);
}

// The words of rounds 4n to 4n + 3.
WITH_SHA static inline __m128i schedule(lane *lane, const uint8_t *block, int n) {
    __m128i *words = lane->words;
    if (n < 4) {
        const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
        words[n] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * n)), order);
    } else {
        const __m128i last = words[(n + 3) & 3];
        const __m128i sum = _mm_add_epi32(
            _mm_sha256msg1_epu32(words[n & 3], words[(n + 1) & 3]), _mm_alignr_epi8(last, words[(n + 2) & 3], 4));
        words[n & 3] = _mm_sha256msg2_epu32(sum, last);
    }
    return _mm_add_epi32(words[n & 3], _mm_load_si128((const __m128i *)(constants + 4 * n)));
}

// Compresses as many blocks of both.
WITH_SHA static void compress(
    lane *one_lane, const uint8_t *one_data, lane *other_lane, const uint8_t *other_data, size_t blocks) {
    lane one = *one_lane, other = *other_lane;
    for (; blocks > 0; blocks--, one_data += 64, other_data += 64) {
        const __m128i one_abef = one.abef, one_cdgh = one.cdgh, other_abef = other.abef, other_cdgh = other.cdgh;
#pragma clang loop unroll(full)
        for (int n = 0; n < 16; n++) {
            const __m128i a = schedule(&one, one_data, n), b = schedule(&other, other_data, n);
            one.cdgh = _mm_sha256rnds2_epu32(one.cdgh, one.abef, a);
            other.cdgh = _mm_sha256rnds2_epu32(other.cdgh, other.abef, b);
            one.abef = _mm_sha256rnds2_epu32(one.abef, one.cdgh, _mm_shuffle_epi32(a, 0x0E));
            other.abef = _mm_sha256rnds2_epu32(other.abef, other.cdgh, _mm_shuffle_epi32(b, 0x0E));
        }
        one.abef = _mm_add_epi32(one.abef, one_abef);
        one.cdgh = _mm_add_epi32(one.cdgh, one_cdgh);
        other.abef = _mm_add_epi32(other.abef, other_abef);
        other.cdgh = _mm_add_epi32(other.cdgh, other_cdgh);
    }
    one_lane->abef = one.abef, one_lane->cdgh = one.cdgh;
    other_lane->abef = other.abef, other_lane->cdgh = other.cdgh;
}

// Blocks that lie one behind the other.
typedef struct {
    const uint8_t *data;
    size_t blocks;
} run;

// A message with its padding, whose runs are a block that begins with its first byte, what stands in the data, and its end.
typedef struct {
    lane lane;
    run runs[3];
    int next;
    uint8_t head[64], tail[128];
} padded;

WITH_SHA static void prepare(padded *padded, const cnettle_message *message) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const uint8_t *data = message->data;
    size_t left = message->count, filled = 0;
    load(&padded->lane, initial);
    padded->next = 0;
    padded->runs[0] = (run){padded->head, 0};
    if (message->first >= 0 && left >= 63) {
        padded->head[0] = (uint8_t)message->first;
        memcpy(padded->head + 1, data, 63);
        data += 63, left -= 63;
        padded->runs[0].blocks = 1;
    } else if (message->first >= 0) {
        padded->tail[filled++] = (uint8_t)message->first;
    }
    padded->runs[1] = (run){data, left / 64};
    if (left % 64) memcpy(padded->tail + filled, data + left / 64 * 64, left % 64);
    filled += left % 64;
    padded->tail[filled++] = 0x80;
    const size_t end = filled <= 56 ? 64 : 128;
    memset(padded->tail + filled, 0, end - filled);
    const uint64_t bits = __builtin_bswap64(8 * (uint64_t)(message->count + (message->first >= 0)));
    memcpy(padded->tail + end - 8, &bits, 8);
    padded->runs[2] = (run){padded->tail, end / 64};
}

// What is compressed next; NULL at the end.
static run *next(padded *padded) {
    while (padded->next < 3 && padded->runs[padded->next].blocks == 0) padded->next++;
    return padded->next < 3 ? &padded->runs[padded->next] : NULL;
}

static void skip(run *run, size_t blocks) {
    run->data += 64 * blocks;
    run->blocks -= blocks;
}

WITH_SHA static void finish(const lane *lane, uint8_t *digest) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
    const __m128i low = _mm_shuffle_epi32(lane->abef, 0x1B), high = _mm_shuffle_epi32(lane->cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)digest, _mm_shuffle_epi8(_mm_blend_epi16(low, high, 0xF0), order));
    _mm_storeu_si128((__m128i *)(digest + 16), _mm_shuffle_epi8(_mm_alignr_epi8(high, low, 8), order));
}

void cnettle_sha256_pair(cnettle_message one, cnettle_message other) {
    static int known; // 1: no, 2: yes; whoever asks at the same time finds the same
    int has = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!has) __atomic_store_n(&known, has = 1 + has_instructions(), __ATOMIC_RELAXED);
    if (has != 2) {
        cnettle_sha256(one.first, one.data, one.count, one.digest);
        cnettle_sha256(other.first, other.data, other.count, other.digest);
        return;
    }
    padded first, second;
    prepare(&first, &one);
    prepare(&second, &other);
    for (;;) {
        run *a = next(&first), *b = next(&second);
        if (a == NULL && b == NULL) break;
        if (a != NULL && b != NULL) {
            const size_t blocks = a->blocks < b->blocks ? a->blocks : b->blocks;
            compress(&first.lane, a->data, &second.lane, b->data, blocks);
            skip(a, blocks);
            skip(b, blocks);
        } else {
            // The longer one's rest, beside itself, which is thrown away.
            padded *longer = a != NULL ? &first : &second;
            run *rest = a != NULL ? a : b;
            lane away = longer->lane;
            compress(&longer->lane, rest->data, &away, rest->data, rest->blocks);
            skip(rest, rest->blocks);
        }
    }
    finish(&first.lane, one.digest);
    finish(&second.lane, other.digest);
}
#else
void cnettle_sha256_pair(cnettle_message one, cnettle_message other) {
    cnettle_sha256(one.first, one.data, one.count, one.digest);
    cnettle_sha256(other.first, other.data, other.count, other.digest);
}
#endif
