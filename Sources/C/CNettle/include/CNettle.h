// Digests of Nettle behind functions of C. Imported by Hashing only.
#ifndef CNETTLE_H
#define CNETTLE_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cnettle_algorithm {
    CNETTLE_MD5,
    CNETTLE_SHA1,
    CNETTLE_SHA256,
    CNETTLE_SHA512,
    CNETTLE_SHA3_256,
};

/// Bytes of the longest digest.
#define CNETTLE_DIGEST_BYTES_MAX 64

/// Digests `data`; the number of bytes written to `digest`, which has room for the longest; 0 for no algorithm.
size_t cnettle_digest(
    enum cnettle_algorithm algorithm, const uint8_t *_Nullable data, size_t count, uint8_t *_Nonnull digest);

/// The HMAC (RFC 2104) of `data` under a key; as `cnettle_digest`. SHA-256 and SHA-512 only, 0 for others.
size_t cnettle_hmac(
    enum cnettle_algorithm algorithm, const uint8_t *_Nullable key, size_t key_count,
    const uint8_t *_Nullable data, size_t count, uint8_t *_Nonnull digest);

/// SHA-256 of the byte `first`, unless it is negative, and of `data` after it; 32 bytes.
void cnettle_sha256(int first, const uint8_t *_Nullable data, size_t count, uint8_t *_Nonnull digest);

/// Whether a password has this bcrypt hash (`$2b$10$…`), behind whose `hash_count` bytes a zero stands: 1, or 0. Takes as long
/// as the hash's cost says.
int cnettle_bcrypt_verify(
    const uint8_t *_Nonnull password, size_t count, const uint8_t *_Nonnull hash, size_t hash_count);

/// A message and the place of its digest, as the parameters of `cnettle_sha256`.
typedef struct {
    int first;
    const uint8_t *_Nullable data;
    size_t count;
    uint8_t *_Nonnull digest;
} cnettle_message;

/// SHA-256 of two messages, of about the same length if it is to be faster than of one after the other: where the processor has
/// instructions for it, one message's rounds are computed while the other's are waited for.
void cnettle_sha256_pair(cnettle_message one, cnettle_message other);

#ifdef __cplusplus
}
#endif
#endif
