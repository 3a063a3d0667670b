// The part of libpq that PostgreSQLAuditStore uses; loaded by the first connection, not linked. Debian's static libpq wants
// OpenSSL, Kerberos and LDAP, whose names and sizes no gateway without PostgreSQL should carry.
#ifndef CPOSTGRESQL_H
#define CPOSTGRESQL_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpq_connection cpq_connection;
typedef struct cpq_result cpq_result;

/// A value in the binary form of its type; no bytes and no count for NULL.
typedef struct {
    const uint8_t *_Nullable bytes;
    int count;
} cpq_value;

/// What a command ended with.
enum cpq_outcome { CPQ_DONE, CPQ_ROWS, CPQ_COPY_IN, CPQ_COPY_OUT, CPQ_FAILED };

/// Loads libpq.so.5; any thread, again: nothing.
/// - Returns: NULL, or why it cannot be loaded. Kept for ever.
const char *_Nullable cpq_load(void);

/// Connects and waits for it. `cpq_load` went well. Never NULL but without memory; to be closed also when it failed.
/// - Parameter conninfo: key words or a URI, as libpq takes them; what it does not say has defaults that notice a dead server.
cpq_connection *_Nullable cpq_connect(const char *_Nonnull conninfo);
void cpq_close(cpq_connection *_Nonnull connection);
int cpq_is_connected(const cpq_connection *_Nonnull connection);
/// The last error, by libpq, with a line break at its end; until the next call.
const char *_Nonnull cpq_error(const cpq_connection *_Nonnull connection);

/// Runs one command with values in binary form, and waits for its result, which is to be freed; NULL without memory or connection.
cpq_result *_Nullable cpq_run(
    cpq_connection *_Nonnull connection, const char *_Nonnull sql, const cpq_value *_Nullable values, int count);
enum cpq_outcome cpq_outcome_of(const cpq_result *_Nonnull result);
/// Five characters, or NULL for what no server said.
const char *_Nullable cpq_sqlstate(const cpq_result *_Nonnull result);
/// The server's words, on one line as it has them first.
const char *_Nonnull cpq_message(const cpq_result *_Nonnull result);
/// "COMMIT", "ROLLBACK", "COPY 5".
const char *_Nonnull cpq_tag(const cpq_result *_Nonnull result);
int cpq_rows(const cpq_result *_Nonnull result);
/// A value in binary form, owned by the result; NULL for NULL.
const uint8_t *_Nullable cpq_field(const cpq_result *_Nonnull result, int row, int column, int *_Nonnull count);
void cpq_free(cpq_result *_Nonnull result);

/// Sends bytes of a COPY. - Returns: whether they were taken.
int cpq_copy_bytes(cpq_connection *_Nonnull connection, const uint8_t *_Nonnull bytes, int count);
/// Ends a COPY and waits for its result, as `cpq_run`.
cpq_result *_Nullable cpq_copy_end(cpq_connection *_Nonnull connection);

/// The next bytes that a COPY gives, to be freed; NULL and −1 at its end, −2 after an error.
uint8_t *_Nullable cpq_next_bytes(cpq_connection *_Nonnull connection, int *_Nonnull count);
void cpq_free_bytes(uint8_t *_Nonnull bytes);
/// What a COPY ended with, after its last bytes, as `cpq_run`.
cpq_result *_Nullable cpq_copy_result(cpq_connection *_Nonnull connection);

#ifdef __cplusplus
}
#endif
#endif
