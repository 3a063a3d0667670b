// The hash of bytes. Private to COTLP.
#ifndef COTLP_HASH_H
#define COTLP_HASH_H

#include "wire.h"

/// Both halves of a product, folded. A factor of 0 would forget the other; it takes the secret to make one.
static inline uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/// The last 1 to 15 of `count` bytes as two words, some of them twice, so that nothing of a variable length is copied:
/// texts of one length that differ give other words.
static inline void load_rest(const uint8_t *bytes, size_t left, size_t count, uint64_t *first, uint64_t *second) {
    if (count >= 16) {
        *first = load64(bytes + left - 16);
        *second = load64(bytes + left - 8);
    } else if (left >= 8) {
        *first = load64(bytes);
        *second = load64(bytes + left - 8);
    } else if (left >= 4) {
        uint32_t low, high;
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + left - 4, 4);
        *first = low;
        *second = high;
    } else {
        *first = (uint64_t)bytes[0] | (uint64_t)bytes[left / 2] << 8;
        *second = bytes[left - 1];
    }
}

static inline cotlp_hash hash_run(const cotlp_hash_key *key, cotlp_hash from, const uint8_t *bytes,
                                  size_t count) {
    const uint64_t *k = key->words;
    uint64_t a = from.low, b = from.high;
    size_t left = count;
    for (; left >= 16; left -= 16, bytes += 16) {
        uint64_t first = load64(bytes), second = load64(bytes + 8);
        a = fold(first ^ k[0], second ^ a);
        b = fold(second ^ k[1], first ^ b ^ k[2]);
    }
    if (left) {
        uint64_t first, second;
        load_rest(bytes, left, count, &first, &second);
        a = fold(first ^ k[0], second ^ a);
        b = fold(second ^ k[1], first ^ b ^ k[2]);
    }
    cotlp_hash hash;
    hash.low = fold(a ^ k[3], b ^ k[4] ^ (uint64_t)count);
    hash.high = fold(b ^ k[5], (a << 32 | a >> 32) ^ k[6] ^ (uint64_t)count);
    return hash;
}

#endif
