#define _POSIX_C_SOURCE 200809L

#include "CPostgreSQL.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <postgresql/libpq-fe.h>

// Each function with the type that libpq's header gives it.
#define FUNCTIONS(each)                                                                                                \
    each(PQconnectdbParams) each(PQfinish) each(PQstatus) each(PQerrorMessage) each(PQexecParams)                      \
    each(PQresultStatus) each(PQresultErrorField) each(PQcmdStatus) each(PQntuples) each(PQgetvalue)                   \
    each(PQgetlength) each(PQgetisnull) each(PQclear) each(PQputCopyData) each(PQputCopyEnd) each(PQgetResult)                   \
    each(PQgetCopyData) each(PQconsumeInput) each(PQfreemem) each(PQlibVersion)

#define MEMBER(name) __typeof__(&name) name;
static struct { FUNCTIONS(MEMBER) } pq;

static char failure[512];

static void load(void) {
    // Bound at once, so that a library with something missing says so here; its names stay its own.
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(failure, sizeof failure, "%s", dlerror());
        return;
    }
#define FIND(name)                                                                                                     \
    if ((pq.name = (__typeof__(&name))dlsym(library, #name)) == NULL) {                                                \
        snprintf(failure, sizeof failure, "libpq.so.5 has no " #name);                                                 \
        return;                                                                                                        \
    }
    FUNCTIONS(FIND)
}

const char *cpq_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return failure[0] ? failure : NULL;
}

cpq_connection *cpq_connect(const char *conninfo) {
    // Of several hosts the primary: a standby may be behind it. Older libraries know another word for it.
    const char *const primary = pq.PQlibVersion() >= 140000 ? "primary" : "read-write";
    // Later ones win: what stands before the operator's own is a default.
    const char *const keys[] = {"connect_timeout",  "keepalives_idle",           "keepalives_interval",  "keepalives_count",
                                "tcp_user_timeout", "fallback_application_name", "target_session_attrs", "dbname",
                                "client_encoding",  NULL};
    const char *const values[] = {"5", "10", "5", "3", "20000", "sluice audit log", primary, conninfo, "UTF8", NULL};
    return (cpq_connection *)pq.PQconnectdbParams(keys, values, 1);
}

void cpq_close(cpq_connection *connection) { pq.PQfinish((PGconn *)connection); }

int cpq_is_connected(const cpq_connection *connection) {
    return pq.PQstatus((const PGconn *)connection) == CONNECTION_OK;
}

const char *cpq_error(const cpq_connection *connection) { return pq.PQerrorMessage((const PGconn *)connection); }

enum { VALUES_MAX = 8 };

cpq_result *cpq_run(cpq_connection *connection, const char *sql, const cpq_value *values, int count) {
    const char *bytes[VALUES_MAX];
    int lengths[VALUES_MAX], formats[VALUES_MAX];
    if (count > VALUES_MAX) return NULL;
    for (int index = 0; index < count; index++) {
        bytes[index] = (const char *)values[index].bytes;
        lengths[index] = values[index].count;
        formats[index] = 1;
    }
    return (cpq_result *)pq.PQexecParams((PGconn *)connection, sql, count, NULL, bytes, lengths, formats, 1);
}

enum cpq_outcome cpq_outcome_of(const cpq_result *result) {
    switch (pq.PQresultStatus((const PGresult *)result)) {
    case PGRES_COMMAND_OK: return CPQ_DONE;
    case PGRES_TUPLES_OK: return CPQ_ROWS;
    case PGRES_COPY_IN: return CPQ_COPY_IN;
    case PGRES_COPY_OUT: return CPQ_COPY_OUT;
    default: return CPQ_FAILED;
    }
}

const char *cpq_sqlstate(const cpq_result *result) {
    return pq.PQresultErrorField((const PGresult *)result, PG_DIAG_SQLSTATE);
}

const char *cpq_message(const cpq_result *result) {
    const char *text = pq.PQresultErrorField((const PGresult *)result, PG_DIAG_MESSAGE_PRIMARY);
    return text ? text : "";
}

const char *cpq_tag(const cpq_result *result) { return pq.PQcmdStatus((PGresult *)(uintptr_t)result); }

int cpq_rows(const cpq_result *result) { return pq.PQntuples((const PGresult *)result); }

const uint8_t *cpq_field(const cpq_result *result, int row, int column, int *count) {
    const PGresult *own = (const PGresult *)result;
    *count = pq.PQgetlength(own, row, column);
    return pq.PQgetisnull(own, row, column) ? NULL : (const uint8_t *)pq.PQgetvalue(own, row, column);
}

void cpq_free(cpq_result *result) { pq.PQclear((PGresult *)result); }

int cpq_copy_bytes(cpq_connection *connection, const uint8_t *bytes, int count) {
    return pq.PQputCopyData((PGconn *)connection, (const char *)bytes, count) == 1;
}

cpq_result *cpq_copy_end(cpq_connection *connection) {
    return pq.PQputCopyEnd((PGconn *)connection, NULL) == 1 ? cpq_copy_result(connection) : NULL;
}

enum { WAIT_NANOSECONDS = 200000, READS = 4 };

uint8_t *cpq_next_bytes(cpq_connection *connection, int *count) {
    PGconn *const own = (PGconn *)connection;
    char *bytes = NULL;
    *count = pq.PQgetCopyData(own, &bytes, 1);
    if (*count == 0) {
        pq.PQconsumeInput(own);
        *count = pq.PQgetCopyData(own, &bytes, 1);
    }
    if (*count == 0) {
        // A server sends 8 KiB at a time, and would wake who waits for each: a moment later there are many. libpq's buffer
        // grows where it is filled again before it is read, so that one system call takes them all.
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NANOSECONDS}, NULL);
        for (int turn = 0; turn < READS; turn++) pq.PQconsumeInput(own);
        *count = pq.PQgetCopyData(own, &bytes, 1);
    }
    // Waits as long as it takes, and says what is wrong.
    if (*count == 0) *count = pq.PQgetCopyData(own, &bytes, 0);
    return (uint8_t *)bytes;
}

void cpq_free_bytes(uint8_t *bytes) { pq.PQfreemem(bytes); }

cpq_result *cpq_copy_result(cpq_connection *connection) {
    PGresult *result = pq.PQgetResult((PGconn *)connection), *next;
    // A connection takes the next command when there is no result left.
    while (result != NULL && (next = pq.PQgetResult((PGconn *)connection)) != NULL) pq.PQclear(next);
    return (cpq_result *)result;
}
