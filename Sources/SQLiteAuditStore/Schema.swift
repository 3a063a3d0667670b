/// The tables of an audit log, and what keeps them as they are.
enum Schema {
    /// The form of entries and tables.
    static let format = "sluice-audit-1"

    /// Of a writer's connection. `synchronous=FULL` syncs the write-ahead log at each commit, `recursive_triggers` has the triggers
    /// see what `INSERT OR REPLACE` would replace. Record ids are random, so that each commit touches most pages of their index: it
    /// stays in memory (`cache_size`, in KiB), and many commits' changes of a page are written back at once (`wal_autocheckpoint`,
    /// in pages: the write-ahead log grows to 64 MiB).
    static let settings = """
        PRAGMA journal_mode=WAL;
        PRAGMA synchronous=FULL;
        PRAGMA recursive_triggers=ON;
        PRAGMA trusted_schema=OFF;
        PRAGMA cache_size=-32768;
        PRAGMA wal_autocheckpoint=16384;
        """

    /// Makes what is not there. Nothing may be changed or removed, and rows come in order and without gaps, whoever writes them
    /// with SQL: `BEFORE INSERT` looks before `OR REPLACE` removes anything, also where `recursive_triggers` is off.
    static let tables = """
        BEGIN IMMEDIATE;
        CREATE TABLE IF NOT EXISTS audit_log (
          one INTEGER PRIMARY KEY CHECK (one = 1), origin TEXT NOT NULL, format TEXT NOT NULL
        ) STRICT;
        CREATE TABLE IF NOT EXISTS audit_entries (
          sequence INTEGER PRIMARY KEY,
          record_id BLOB NOT NULL UNIQUE CHECK (length(record_id) = 16),
          content_hash BLOB NOT NULL CHECK (length(content_hash) = 32),
          recorded INTEGER NOT NULL,
          entry BLOB NOT NULL CHECK (length(entry) <= 65535)
        ) STRICT;
        CREATE TABLE IF NOT EXISTS audit_tiles (
          level INTEGER NOT NULL, tile INTEGER NOT NULL,
          hashes BLOB NOT NULL CHECK (length(hashes) = 8192), PRIMARY KEY (level, tile)
        ) STRICT;
        CREATE TABLE IF NOT EXISTS audit_checkpoints (
          id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL, time INTEGER NOT NULL, note TEXT NOT NULL
        ) STRICT;
        CREATE TABLE IF NOT EXISTS audit_detached (
          last INTEGER PRIMARY KEY, time INTEGER NOT NULL, note TEXT NOT NULL
        ) STRICT;
        CREATE TABLE IF NOT EXISTS audit_ids (
          record_id BLOB PRIMARY KEY CHECK (length(record_id) = 16),
          sequence INTEGER NOT NULL, content_hash BLOB NOT NULL CHECK (length(content_hash) = 32)
        ) STRICT, WITHOUT ROWID;
        CREATE TRIGGER IF NOT EXISTS audit_entries_in_order BEFORE INSERT ON audit_entries
        WHEN NEW.sequence IS NOT (SELECT ifnull(max(sequence), 0) + 1 FROM audit_entries)
          OR EXISTS (SELECT 1 FROM audit_entries WHERE record_id = NEW.record_id)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: this sequence is not the next, or the record is there'); END;
        CREATE TRIGGER IF NOT EXISTS audit_entries_new_ids BEFORE INSERT ON audit_entries
        WHEN EXISTS (SELECT 1 FROM audit_ids WHERE record_id = NEW.record_id)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: this record was in a month that is detached'); END;
        CREATE TRIGGER IF NOT EXISTS audit_tiles_once BEFORE INSERT ON audit_tiles
        WHEN EXISTS (SELECT 1 FROM audit_tiles WHERE level = NEW.level AND tile = NEW.tile)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: this tile is there'); END;
        CREATE TRIGGER IF NOT EXISTS audit_checkpoints_once BEFORE INSERT ON audit_checkpoints
        WHEN EXISTS (SELECT 1 FROM audit_checkpoints WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: this checkpoint is there'); END;
        CREATE TRIGGER IF NOT EXISTS audit_log_once BEFORE INSERT ON audit_log
        WHEN EXISTS (SELECT 1 FROM audit_log)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: it has its name'); END;
        CREATE TRIGGER IF NOT EXISTS audit_detached_once BEFORE INSERT ON audit_detached
        WHEN EXISTS (SELECT 1 FROM audit_detached WHERE last = NEW.last)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: this statement is there'); END;
        CREATE TRIGGER IF NOT EXISTS audit_ids_once BEFORE INSERT ON audit_ids
        WHEN EXISTS (SELECT 1 FROM audit_ids WHERE record_id = NEW.record_id)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: this record is there'); END;
        \(kept("audit_log"))
        \(kept("audit_entries"))
        \(kept("audit_tiles"))
        \(kept("audit_checkpoints"))
        \(kept("audit_detached"))
        \(kept("audit_ids"))
        CREATE VIEW IF NOT EXISTS audit_events AS SELECT
          sequence, recorded,
          json_extract(CAST(entry AS TEXT), '$.record.timestamp') AS time,
          json_extract(CAST(entry AS TEXT), '$.record.event_name') AS event_name,
          json_extract(CAST(entry AS TEXT), '$.record.trace_id') AS trace_id,
          json_extract(CAST(entry AS TEXT), '$.record.attributes."audit.actor.type".stringValue') AS actor_type,
          json_extract(CAST(entry AS TEXT), '$.record.attributes."audit.actor.id".stringValue') AS actor_id,
          json_extract(CAST(entry AS TEXT), '$.record.attributes."audit.action".stringValue') AS action,
          json_extract(CAST(entry AS TEXT), '$.record.attributes."audit.outcome".stringValue') AS outcome,
          json_extract(CAST(entry AS TEXT), '$.record.attributes."audit.target.type".stringValue') AS target_type,
          json_extract(CAST(entry AS TEXT), '$.record.attributes."audit.target.id".stringValue') AS target_id,
          json_extract(CAST(entry AS TEXT), '$.record.attributes."audit.decision".stringValue') AS decision,
          CAST(entry AS TEXT) AS entry
        FROM audit_entries;
        COMMIT;
        """

    private static func kept(_ table: String) -> String {
        """
        CREATE TRIGGER IF NOT EXISTS \(table)_no_update BEFORE UPDATE ON \(table)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is changed'); END;
        \(undeletable(table))
        """
    }

    private static func undeletable(_ table: String) -> String {
        """
        CREATE TRIGGER IF NOT EXISTS \(table)_no_delete BEFORE DELETE ON \(table)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is removed'); END;
        """
    }

    /// Takes entries out, of which the ids stay; inside a transaction, so that no other connection sees the table without its trigger.
    static func removal(from first: UInt64, to last: UInt64) -> String {
        """
        DROP TRIGGER IF EXISTS audit_entries_no_delete;
        INSERT INTO audit_ids SELECT record_id, sequence, content_hash FROM audit_entries
          WHERE sequence BETWEEN \(first) AND \(last);
        DELETE FROM audit_entries WHERE sequence BETWEEN \(first) AND \(last);
        \(undeletable("audit_entries"))
        """
    }
}
