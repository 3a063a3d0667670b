// Memory of one nghttp2 session in one piece, so that it can be put away and come back to the same addresses. Private to
// HTTP, which imports it with nghttp2.
#ifndef SESSION_ARENA_H
#define SESSION_ARENA_H
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

/// A session's memory, at the start of the piece that it is in. One thread at a time.
typedef struct session_arena session_arena;

/// Takes a piece of `count` bytes, on a boundary of 16, at most 512 KiB. `room`: what the session gets when it first asks for a
/// buffer of `room_least` to `room_most` bytes; not freed.
session_arena *_Nonnull session_arena_begin(
    void *_Nonnull bytes, size_t count, void *_Nonnull room, size_t room_least, size_t room_most);

/// The functions for `nghttp2_session_server_new3`. What does not fit, and large blocks that are asked for later than
/// that, come from malloc.
nghttp2_mem session_arena_memory(session_arena *_Nonnull arena);

/// The session is made: from now on large blocks come from malloc, since they are exchanged for larger ones.
void session_arena_made(session_arena *_Nonnull arena);

/// Overwrites with zeros what is free.
/// Returns how many bytes from the arena's address on have ever been used.
size_t session_arena_tidy(session_arena *_Nonnull arena);

/// Whether no block of the session's comes from malloc: then it may be forgotten without freeing it.
bool session_arena_is_whole(const session_arena *_Nonnull arena);

#endif
