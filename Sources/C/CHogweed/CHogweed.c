#include "CHogweed.h"

#include <nettle/eddsa.h>

void chogweed_public_key(const uint8_t *private_key, uint8_t *public_key) {
    ed25519_sha512_public_key(public_key, private_key);
}

void chogweed_sign(
    const uint8_t *private_key, const uint8_t *public_key, const uint8_t *data, size_t count,
    uint8_t *signature) {
    ed25519_sha512_sign(public_key, private_key, count, data, signature);
}

int chogweed_verify(
    const uint8_t *public_key, const uint8_t *data, size_t count, const uint8_t *signature) {
    return ed25519_sha512_verify(public_key, count, data, signature) == 1;
}
