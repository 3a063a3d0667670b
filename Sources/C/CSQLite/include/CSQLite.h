// SQLite's public header. Imported by SQLiteAuditStore only.
#ifndef CSQLITE_H
#define CSQLITE_H
#include <sqlite3.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Binds bytes, which SQLite copies; as sqlite3_bind_blob, whose last argument Swift cannot write.
int csqlite_bind_copy(sqlite3_stmt *_Nonnull statement, int index, const void *_Nullable data, int count);

/// Binds UTF-8, as `csqlite_bind_copy`.
int csqlite_bind_text_copy(sqlite3_stmt *_Nonnull statement, int index, const char *_Nonnull text, int count);

#ifdef __cplusplus
}
#endif
#endif
