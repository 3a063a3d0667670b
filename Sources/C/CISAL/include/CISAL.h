// The part of ISA-L that Gzipper uses; loaded by the first large body where it is there, not linked, because Debian has no static
// library of it.
#ifndef CISAL_H
#define CISAL_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A compressor with its memory, 365 KB. One thread at a time.
typedef struct cisal_compressor cisal_compressor;

/// Makes a compressor of level 1; any thread. To be freed with `cisal_free`.
/// - Returns: NULL where there is no libisal.so.2, or no memory.
cisal_compressor *_Nullable cisal_make(void);
void cisal_free(cisal_compressor *_Nonnull compressor);

/// Writes `input` as one gzip member.
/// - Returns: its bytes; 0, with anything in `output`, when it does not fit there or the input has 4 GiB or more.
size_t cisal_compress(
    cisal_compressor *_Nonnull compressor, const uint8_t *_Nonnull input, size_t input_count, uint8_t *_Nonnull output,
    size_t output_count);

#ifdef __cplusplus
}
#endif
#endif
