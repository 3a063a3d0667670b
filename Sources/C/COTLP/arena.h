// A bump allocator behind protobuf-c's allocator interface. Private to COTLP.
#ifndef COTLP_ARENA_H
#define COTLP_ARENA_H

#include "COTLP.h"

#include <protobuf-c/protobuf-c.h>

/// Memory from a system allocator, filled from the front.
typedef struct cotlp_chunk {
    struct cotlp_chunk *next;
    size_t capacity; // bytes behind this header
} cotlp_chunk;

struct cotlp_arena {
    ProtobufCAllocator allocator; // hands out from here; freeing does nothing
    cotlp_chunk *filled;          // the first one is being filled
    cotlp_chunk *spare;           // standard chunks, kept for reuse
    unsigned char *next;          // next free byte of the first filled chunk
    size_t left;                  // bytes from there to its end
    size_t used;                  // bytes handed out since the last reset
    size_t limit;
    int is_exhausted; // something was refused since the last reset
};

#endif
