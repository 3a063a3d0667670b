#define _POSIX_C_SOURCE 200809L

#include "CISAL.h"

#include <dlfcn.h>
#include <isa-l/igzip_lib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct cisal_compressor {
    struct isal_zstream stream;
    uint8_t memory[ISAL_DEF_LVL1_DEFAULT];
};

// Both with the type that ISA-L's header gives them.
static __typeof__(&isal_deflate_stateless_init) begin;
static __typeof__(&isal_deflate_stateless) deflate;
static bool is_loaded;

static void load(void) {
    // Bound at once, so that a library with something missing shows here; its names stay its own.
    void *library = dlopen("libisal.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return;
    begin = (__typeof__(begin))dlsym(library, "isal_deflate_stateless_init");
    deflate = (__typeof__(deflate))dlsym(library, "isal_deflate_stateless");
    is_loaded = begin != NULL && deflate != NULL;
}

cisal_compressor *cisal_make(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return is_loaded ? calloc(1, sizeof(cisal_compressor)) : NULL;
}

void cisal_free(cisal_compressor *compressor) { free(compressor); }

size_t cisal_compress(
    cisal_compressor *compressor, const uint8_t *input, size_t input_count, uint8_t *output, size_t output_count) {
    if (input_count >= UINT32_MAX) return 0;
    struct isal_zstream *stream = &compressor->stream;
    begin(stream);
    stream->level = 1;
    stream->level_buf = compressor->memory;
    stream->level_buf_size = sizeof compressor->memory;
    stream->gzip_flag = IGZIP_GZIP;
    stream->end_of_stream = 1;
    // It only reads there.
    stream->next_in = (uint8_t *)input;
    stream->avail_in = (uint32_t)input_count;
    stream->next_out = output;
    stream->avail_out = output_count < UINT32_MAX ? (uint32_t)output_count : UINT32_MAX;
    if (deflate(stream) != COMP_OK || stream->avail_in != 0) return 0;
    return stream->total_out;
}
