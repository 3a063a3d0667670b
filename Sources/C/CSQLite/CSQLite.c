#include "CSQLite.h"

int csqlite_bind_copy(sqlite3_stmt *statement, int index, const void *data, int count) {
    // An empty value is no NULL.
    return sqlite3_bind_blob(statement, index, count > 0 ? data : "", count, SQLITE_TRANSIENT);
}

int csqlite_bind_text_copy(sqlite3_stmt *statement, int index, const char *text, int count) {
    return sqlite3_bind_text(statement, index, text, count, SQLITE_TRANSIENT);
}
