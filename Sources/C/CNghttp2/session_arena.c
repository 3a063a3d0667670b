#include "CNghttp2.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// A block is a number of units of 16 bytes: 8 that say how many, then what the caller gets, on a boundary of 16. Free blocks
// of one size are a list; blocks are neither cut nor joined, since a session asks for the same few sizes again and again.
enum { UNIT = 16, HEAD = 8, UNITS_MAX = 31 };

struct session_arena {
    // What is given out once, and not freed; NULL when it was.
    void *room_offered;
    void *room;
    size_t room_least, room_most;
    // How many bytes there are, and how many of them were ever given out.
    uint32_t limit, used;
    // Blocks of the session's that come from malloc.
    uint32_t outside;
    // A bit for each list that is not empty.
    uint32_t filled;
    bool is_making;
    // By the number of units: the first free block, in units from the arena on. A block's first bytes say which comes next.
    uint16_t free[UNITS_MAX + 1];
};

static size_t round_up(size_t count) { return (count + UNIT - 1) / UNIT * UNIT; }

session_arena *session_arena_begin(void *bytes, size_t count, void *room, size_t room_least, size_t room_most) {
    session_arena *arena = bytes;
    memset(arena, 0, sizeof *arena);
    arena->room_offered = arena->room = room;
    arena->room_least = room_least;
    arena->room_most = room_most;
    arena->limit = (uint32_t)count;
    arena->used = (uint32_t)round_up(sizeof *arena + HEAD);
    arena->is_making = true;
    return arena;
}

void session_arena_made(session_arena *arena) {
    arena->room_offered = NULL;
    arena->is_making = false;
}

bool session_arena_is_whole(const session_arena *arena) { return arena->outside == 0; }

static uint32_t *units_of(void *block) { return (uint32_t *)((char *)block - HEAD); }

static uint16_t *next_of(session_arena *arena, size_t units) {
    return (uint16_t *)((char *)arena + units * UNIT);
}

static bool is_inside(const session_arena *arena, const void *block) {
    return (uintptr_t)block - (uintptr_t)arena < arena->limit;
}

static void *take_outside(session_arena *arena, size_t count) {
    void *block = malloc(count);
    if (block) arena->outside++;
    return block;
}

static void *take(size_t count, void *user_data) {
    session_arena *arena = user_data;
    if (count > arena->limit) return take_outside(arena, count);
    size_t units = (count + HEAD + UNIT - 1) / UNIT;
    if (units <= UNITS_MAX) {
        uint32_t fitting = arena->filled >> units;
        size_t found = fitting ? units + (size_t)__builtin_ctz(fitting) : UNITS_MAX + 1;
        // A block of more than twice the size is left for what needs it.
        if (found <= 2 * units && found <= UNITS_MAX) {
            uint16_t first = arena->free[found];
            uint16_t *block = next_of(arena, first);
            arena->free[found] = *block;
            if (!*block) arena->filled &= ~(UINT32_C(1) << found);
            return block;
        }
    } else if (!arena->is_making) {
        return take_outside(arena, count);
    }
    if (arena->used + units * UNIT - HEAD > arena->limit) return take_outside(arena, count);
    void *block = (char *)arena + arena->used;
    arena->used += (uint32_t)(units * UNIT);
    *units_of(block) = (uint32_t)units;
    return block;
}

static void give(void *block, void *user_data) {
    session_arena *arena = user_data;
    if (!is_inside(arena, block)) {
        if (!block || block == arena->room) return;
        arena->outside--;
        free(block);
        return;
    }
    uint32_t units = *units_of(block);
    // A large one is not wanted again.
    if (units > UNITS_MAX) {
        memset(block, 0, units * UNIT - HEAD);
        return;
    }
    uint16_t *next = block;
    *next = arena->free[units];
    arena->free[units] = (uint16_t)(((char *)block - (char *)arena) / UNIT);
    arena->filled |= UINT32_C(1) << units;
}

static void *take_zeros(size_t number, size_t size, void *user_data) {
    size_t count;
    if (__builtin_mul_overflow(number, size, &count)) return NULL;
    void *block = take(count, user_data);
    if (block) memset(block, 0, count);
    return block;
}

static void *exchange(void *block, size_t count, void *user_data) {
    session_arena *arena = user_data;
    if (!block) {
        if (arena->room_offered && count >= arena->room_least && count <= arena->room_most) {
            arena->room_offered = NULL;
            return arena->room;
        }
        return take(count, user_data);
    }
    // It is shared, and not the session's to change.
    if (block == arena->room) abort();
    if (!is_inside(arena, block)) return realloc(block, count);
    size_t had = *units_of(block) * (size_t)UNIT - HEAD;
    if (count <= had) return block;
    void *larger = take(count, user_data);
    if (!larger) return NULL;
    memcpy(larger, block, had);
    give(block, user_data);
    return larger;
}

nghttp2_mem session_arena_memory(session_arena *arena) {
    return (nghttp2_mem){
        .mem_user_data = arena, .malloc = take, .free = give, .calloc = take_zeros, .realloc = exchange};
}

size_t session_arena_tidy(session_arena *arena) {
    for (size_t units = 1; units <= UNITS_MAX; units++) {
        for (uint16_t at = arena->free[units]; at; at = *next_of(arena, at)) {
            memset(next_of(arena, at) + 1, 0, units * UNIT - HEAD - sizeof(uint16_t));
        }
    }
    // The last block's end: HEAD bytes before where the next one would begin.
    return arena->used - HEAD;
}
