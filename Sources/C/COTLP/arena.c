#include "arena.h"

#include <stdint.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COTLP_RECYCLES 0
#endif
#endif
#ifndef COTLP_RECYCLES
#define COTLP_RECYCLES 1
#endif

enum {
    CHUNK_BYTES = 64 * 1024 - sizeof(cotlp_chunk),
    ALIGNMENT = 16,
};

/// Begins a chunk with room for size bytes, a multiple of ALIGNMENT.
static int add_chunk(cotlp_arena *arena, size_t size) {
    cotlp_chunk *chunk = arena->spare;
    if (size <= CHUNK_BYTES && chunk != NULL) {
        arena->spare = chunk->next;
    } else {
        size_t capacity = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        chunk = malloc(sizeof *chunk + capacity);
        if (chunk == NULL) return 0;
        chunk->capacity = capacity;
    }
    chunk->next = arena->filled;
    arena->filled = chunk;
    arena->next = (unsigned char *)(chunk + 1);
    arena->left = chunk->capacity;
    return 1;
}

static void *take(cotlp_arena *arena, size_t size) {
    if (size > arena->limit - arena->used) return NULL; // used <= limit, always
    // limit is far below SIZE_MAX, see cotlp_arena_create: no overflow.
    size_t rounded = (size + (ALIGNMENT - 1)) & ~(size_t)(ALIGNMENT - 1);
    if (rounded > arena->limit - arena->used) return NULL;
    if (rounded > arena->left && !add_chunk(arena, rounded)) return NULL;
    void *result = arena->next;
    arena->next += rounded;
    arena->left -= rounded;
    arena->used += rounded;
    return result;
}

static void *arena_alloc(void *data, size_t size) {
    cotlp_arena *arena = data;
    void *result = take(arena, size);
    if (result == NULL) arena->is_exhausted = 1;
    return result;
}

static void arena_free(void *data, void *pointer) {
    (void)data;
    (void)pointer;
}

static void free_chunks(cotlp_chunk *chunk) {
    while (chunk != NULL) {
        cotlp_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

cotlp_arena *cotlp_arena_create(size_t limit) {
    cotlp_arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL) return NULL;
    arena->allocator = (ProtobufCAllocator){arena_alloc, arena_free, arena};
    arena->limit = limit < SIZE_MAX / 4 ? limit : SIZE_MAX / 4;
    return arena;
}

void cotlp_arena_reset(cotlp_arena *arena) {
    cotlp_chunk *chunk = arena->filled;
    while (chunk != NULL) {
        cotlp_chunk *next = chunk->next;
        if (COTLP_RECYCLES && chunk->capacity == CHUNK_BYTES) {
            chunk->next = arena->spare;
            arena->spare = chunk;
        } else {
            free(chunk);
        }
        chunk = next;
    }
    arena->filled = NULL;
    arena->next = NULL;
    arena->left = 0;
    arena->used = 0;
    arena->is_exhausted = 0;
}

void cotlp_arena_destroy(cotlp_arena *arena) {
    free_chunks(arena->filled);
    free_chunks(arena->spare);
    free(arena);
}

size_t cotlp_arena_used(const cotlp_arena *arena) { return arena->used; }
