#include "CNettle.h"

#include <nettle/blowfish.h>
#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <nettle/sha3.h>

union state {
    struct md5_ctx md5;
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
    struct sha512_ctx sha512;
    struct sha3_256_ctx sha3_256;
};

size_t cnettle_digest(enum cnettle_algorithm algorithm, const uint8_t *data, size_t count, uint8_t *digest) {
    const struct nettle_hash *hash;
    switch (algorithm) {
    case CNETTLE_MD5: hash = &nettle_md5; break;
    case CNETTLE_SHA1: hash = &nettle_sha1; break;
    case CNETTLE_SHA256: hash = &nettle_sha256; break;
    case CNETTLE_SHA512: hash = &nettle_sha512; break;
    case CNETTLE_SHA3_256: hash = &nettle_sha3_256; break;
    default: return 0;
    }
    union state state;
    hash->init(&state);
    hash->update(&state, count, data);
    hash->digest(&state, hash->digest_size, digest);
    return hash->digest_size;
}

size_t cnettle_hmac(
    enum cnettle_algorithm algorithm, const uint8_t *key, size_t key_count, const uint8_t *data, size_t count,
    uint8_t *digest) {
    if (algorithm == CNETTLE_SHA256) {
        struct hmac_sha256_ctx state;
        hmac_sha256_set_key(&state, key_count, key);
        hmac_sha256_update(&state, count, data);
        hmac_sha256_digest(&state, SHA256_DIGEST_SIZE, digest);
        return SHA256_DIGEST_SIZE;
    }
    if (algorithm == CNETTLE_SHA512) {
        struct hmac_sha512_ctx state;
        hmac_sha512_set_key(&state, key_count, key);
        hmac_sha512_update(&state, count, data);
        hmac_sha512_digest(&state, SHA512_DIGEST_SIZE, digest);
        return SHA512_DIGEST_SIZE;
    }
    return 0;
}

void cnettle_sha256(int first, const uint8_t *data, size_t count, uint8_t *digest) {
    struct sha256_ctx state;
    sha256_init(&state);
    if (first >= 0) {
        const uint8_t byte = (uint8_t)first;
        sha256_update(&state, 1, &byte);
    }
    sha256_update(&state, count, data);
    sha256_digest(&state, SHA256_DIGEST_SIZE, digest);
}

int cnettle_bcrypt_verify(const uint8_t *password, size_t count, const uint8_t *hash, size_t hash_count) {
    return blowfish_bcrypt_verify(count, password, hash_count, hash);
}
