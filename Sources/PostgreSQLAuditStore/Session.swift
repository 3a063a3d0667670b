internal import AuditLog

/// What a connection is asked and told before it is used.
enum Session {
    /// The form of entries and tables.
    private static let format = "sluice-audit-1"
    /// The advisory lock of a database's writer: "sluice", 1.
    private static let lock: Int64 = 0x736c_7569_6365_0001

    static func prepareReader(_ connection: Connection) throws(AuditStoreError) {
        // Pages are short commands: what pays for itself in long ones only is left.
        for setting in [
            "default_transaction_read_only = on", "jit = off", "max_parallel_workers_per_gather = 0",
        ] { try connection.run("SET " + setting) }
        try checkTables(connection)
    }

    /// Becomes the role that owns the tables.
    static func prepareOwner(_ connection: Connection) throws(AuditStoreError) {
        try checkTables(connection)
        do throws(AuditStoreError) {
            try connection.run("SET ROLE sluice_audit_owner")
        } catch {
            guard error.kind == .refused else { throw error }
            throw AuditStoreError(
                .refused,
                "entries are detached by the owner of the tables: connect as a role that is a member of "
                    + "sluice_audit_owner, or as a superuser")
        }
    }

    /// Checks that what is committed stays and that the role cannot change it, and takes the lock.
    static func prepareWriter(_ connection: Connection, _ origin: String) throws(AuditStoreError) {
        // A server whose client is gone ends its session, and with it the lock, within half a minute.
        for setting in [
            "tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3",
            "tcp_user_timeout = 20000", "statement_timeout = 60000",
            "idle_in_transaction_session_timeout = 60000",
        ] { try connection.run("SET " + setting) }
        try checkServer(connection)
        try checkTables(connection)
        try checkRights(connection)
        try takeLock(connection)
        try claim(connection, origin)
        try connection.run("SELECT audit_make_partitions(now(), 3)")
    }

    private static func checkServer(_ connection: Connection) throws(AuditStoreError) {
        let server = try connection.run(
            "SELECT pg_is_in_recovery(), current_setting('fsync') = 'off', "
                + "current_setting('synchronous_commit') = 'off'")
        guard !server.isTrue(0, 0) else {
            throw AuditStoreError(
                .unavailable,
                "this PostgreSQL server is a standby; connect without target_session_attrs")
        }
        guard !server.isTrue(0, 1) else {
            throw AuditStoreError(
                .refused, "this PostgreSQL server has fsync = off, so nothing is durable; set it to on")
        }
        if server.isTrue(0, 2) { try connection.run("SET synchronous_commit = on") }
    }

    private static func checkTables(_ connection: Connection) throws(AuditStoreError) {
        let found = try connection.run(
            """
            SELECT false, string_agg(name, ', ' ORDER BY name)
            FROM unnest(ARRAY['audit_log', 'audit_entries', 'audit_ids', 'audit_tiles', 'audit_checkpoints',
                'audit_detached']) AS name
            WHERE to_regclass(name) IS NULL
            UNION ALL
            SELECT to_regclass('audit_log') IS NOT NULL, string_agg(name, ', ' ORDER BY name)
            FROM unnest(ARRAY['audit_make_partitions(timestamptz,integer)', 'audit_detach_month(date)']) AS name
            WHERE to_regprocedure(name) IS NULL
            """)
        guard found.isTrue(1, 0) else {
            throw AuditStoreError(
                .refused,
                "this PostgreSQL database has no tables of an audit log, or the role may not see them: "
                    + "sluice audit schema | psql makes them")
        }
        let missing = [found.text(0, 1), found.text(1, 1)].filter { !$0.isEmpty }
        guard missing.isEmpty else {
            throw AuditStoreError(
                .refused,
                "the audit log in this PostgreSQL database was made by an older version, without "
                    + "\(missing.joined(separator: ", ")): sluice audit schema | psql makes what is missing")
        }
    }

    private static func checkRights(_ connection: Connection) throws(AuditStoreError) {
        let rights = try connection.run(
            """
            SELECT current_user, bool_or(has_table_privilege(name, 'UPDATE, DELETE, TRUNCATE, TRIGGER'))
            FROM unnest(ARRAY['audit_log', 'audit_entries', 'audit_ids', 'audit_tiles', 'audit_checkpoints',
                'audit_detached']) AS name
            """)
        guard !rights.isTrue(0, 1) else {
            throw AuditStoreError(
                .refused,
                "the PostgreSQL role \"\(rights.text(0, 0))\" may change the audit log; connect as "
                    + "sluice_audit_writer, which can only append")
        }
        let open = try connection.run(
            """
            SELECT string_agg(relname::text, ', ') FROM pg_class AS c
            WHERE relnamespace = 'sluice_audit'::regnamespace AND relkind IN ('r', 'p') AND relname LIKE 'audit\\_%'
            AND (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgenabled = 'A'
                AND t.tgname IN ('audit_no_change', 'audit_no_truncate')) < 2
            """)
        guard open.bytes(0, 0) == nil else {
            throw AuditStoreError(
                .damaged,
                "the triggers that keep the audit log as it is are gone or off for \(open.text(0, 0)); run sluice audit "
                    + "verify, then sluice audit schema | psql puts them back")
        }
    }

    /// Waits a moment: a server sees the end of a gateway that was restarted a little after the gateway does.
    private static func takeLock(_ connection: Connection) throws(AuditStoreError) {
        let key = BinaryForm.bytes(lock)
        try connection.run("SET lock_timeout = 3000")
        do throws(AuditStoreError) {
            try connection.run("SELECT pg_advisory_lock($1::bigint)", [key])
        } catch {
            throw try holder(connection, key) ?? error
        }
        try connection.run("SET lock_timeout = 0")
    }

    /// Who has the lock; nil for nobody.
    private static func holder(
        _ connection: Connection, _ key: [UInt8]
    ) throws(AuditStoreError) -> AuditStoreError? {
        let other = try connection.run(
            """
            SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::bigint << 32 | objid::bigint) = $1::bigint
            """, [key])
        guard !other.rows.isEmpty else { return nil }
        return AuditStoreError(
            .locked,
            "another gateway writes the audit log in this PostgreSQL database (backend \(other.text(0, 0))); give each "
                + "gateway a database of its own")
    }

    /// Writes the log's name into a new one, and compares it in an old one.
    private static func claim(_ connection: Connection, _ origin: String) throws(AuditStoreError) {
        let found = try connection.run("SELECT origin, format FROM audit_log")
        guard !found.rows.isEmpty else {
            try connection.run(
                "INSERT INTO audit_log (origin, format) VALUES ($1::text, $2::text)",
                [Array(origin.utf8), Array(format.utf8)])
            return
        }
        guard found.text(0, 1) == format else {
            throw AuditStoreError(
                .damaged,
                "the audit log in this PostgreSQL database has the format \"\(found.text(0, 1))\", this version writes "
                    + "\"\(format)\"")
        }
        guard found.text(0, 0) == origin else {
            throw AuditStoreError(
                .refused,
                "the audit log in this PostgreSQL database is that of \"\(found.text(0, 0))\", not of \"\(origin)\"; give "
                    + "each log a database of its own")
        }
    }
}
