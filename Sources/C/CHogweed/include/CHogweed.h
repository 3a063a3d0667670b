// Ed25519 (RFC 8032) of Nettle's public-key half. Imported by Hashing only.
#ifndef CHOGWEED_H
#define CHOGWEED_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The public key, 32 bytes, of a private one of 32.
void chogweed_public_key(const uint8_t *_Nonnull private_key, uint8_t *_Nonnull public_key);

/// Signs `data`; the signature has 64 bytes.
void chogweed_sign(
    const uint8_t *_Nonnull private_key, const uint8_t *_Nonnull public_key, const uint8_t *_Nullable data,
    size_t count, uint8_t *_Nonnull signature);

/// 1 when the 64 bytes are the key's signature of `data`, else 0.
int chogweed_verify(
    const uint8_t *_Nonnull public_key, const uint8_t *_Nullable data, size_t count,
    const uint8_t *_Nonnull signature);

#ifdef __cplusplus
}
#endif
#endif
