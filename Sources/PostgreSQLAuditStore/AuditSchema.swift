// Made by config/deploy/audit/generate; do not edit.

/// The scripts that make an audit log's roles and tables in PostgreSQL.
package enum AuditSchema {
    /// `config/deploy/audit/roles.sql`.
    package static let roles = #"""
        -- The roles of an audit log. Once for each server, as a role that may make roles: psql -v ON_ERROR_STOP=1 -f roles.sql
        --
        -- sluice_audit_owner   owns the tables. Nobody logs in as it: who can remove a trigger is seen in the server's log as SET ROLE.
        -- sluice_audit_writer  the gateway: appends and reads, changes nothing.
        -- sluice_audit_reader  people, sluice audit verify, replicas: reads.
        --
        -- Neither login has a password yet: \password sluice_audit_writer, or a client certificate.
        DO $$
        DECLARE
            role text;
        BEGIN
            FOREACH role IN ARRAY ARRAY['sluice_audit_owner', 'sluice_audit_writer', 'sluice_audit_reader'] LOOP
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
                    EXECUTE format('CREATE ROLE %I', role);
                END IF;
            END LOOP;
        END
        $$;
        ALTER ROLE sluice_audit_owner NOLOGIN NOINHERIT;
        ALTER ROLE sluice_audit_writer LOGIN CONNECTION LIMIT 8;
        ALTER ROLE sluice_audit_reader LOGIN;

        """#

    /// `config/deploy/audit/schema.sql`.
    package static let schema = #"""
        -- The tables of an audit log, for PostgreSQL 15 or later. In a database of its own for each gateway, as a superuser or the
        -- database's owner who is a member of sluice_audit_owner: psql -v ON_ERROR_STOP=1 --single-transaction -f schema.sql
        -- May run again: it makes what is missing, and puts triggers and grants back.
        --
        -- `entry` is what counts: its bytes are in the signed tree, and sluice audit verify compares all other columns with them, and
        -- audit_ids. They are copies for queries, texts of at most 255 characters.

        CREATE SCHEMA IF NOT EXISTS sluice_audit;
        ALTER SCHEMA sluice_audit OWNER TO sluice_audit_owner;
        SET ROLE sluice_audit_owner;
        SET search_path = sluice_audit, pg_temp;

        CREATE TABLE IF NOT EXISTS audit_log (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            origin text NOT NULL,
            format text NOT NULL
        );

        -- A month a partition. A unique index would have to include the partition's key, so audit_ids keeps numbers and ids unique.
        CREATE TABLE IF NOT EXISTS audit_entries (
            sequence bigint NOT NULL CHECK (sequence > 0),
            record_id bytea NOT NULL CHECK (octet_length(record_id) = 16),
            content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
            recorded bigint NOT NULL,
            created_at timestamptz NOT NULL,
            "timestamp" timestamptz NOT NULL,
            trace_id bytea CHECK (octet_length(trace_id) = 16),
            span_id bytea CHECK (octet_length(span_id) = 8),
            event_name text NOT NULL,
            actor text NOT NULL,
            actor_type text NOT NULL,
            resource text,
            resource_type text,
            action text NOT NULL,
            outcome text NOT NULL,
            decision text,
            policy_version text,
            compliance_tags text[] NOT NULL,
            entry bytea NOT NULL CHECK (octet_length(entry) <= 65535),
            PRIMARY KEY (sequence, created_at)
        ) PARTITION BY RANGE (created_at);
        CREATE INDEX IF NOT EXISTS audit_entries_timestamp ON audit_entries USING brin ("timestamp");
        CREATE INDEX IF NOT EXISTS audit_entries_trace_id ON audit_entries (trace_id) WHERE trace_id IS NOT NULL;
        CREATE INDEX IF NOT EXISTS audit_entries_actor ON audit_entries (actor, created_at);

        -- Kept for ever, also of detached months: an event that comes again after years is still known.
        CREATE TABLE IF NOT EXISTS audit_ids (
            record_id bytea PRIMARY KEY CHECK (octet_length(record_id) = 16),
            sequence bigint NOT NULL UNIQUE CHECK (sequence > 0),
            content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32)
        );

        -- The tree's hashes, for ever: with them proofs of entries in detached months still hold.
        CREATE TABLE IF NOT EXISTS audit_tiles (
            level smallint NOT NULL CHECK (level >= 0),
            tile bigint NOT NULL CHECK (tile >= 0),
            hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
            PRIMARY KEY (level, tile)
        );

        CREATE TABLE IF NOT EXISTS audit_checkpoints (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            size bigint NOT NULL CHECK (size >= 0),
            "time" bigint NOT NULL,
            note text NOT NULL
        );
        CREATE INDEX IF NOT EXISTS audit_checkpoints_size ON audit_checkpoints (size, id);

        -- What was taken out on purpose: notes that the log's key has signed, each with the last entry. sluice audit detach writes them.
        CREATE TABLE IF NOT EXISTS audit_detached (
            last bigint PRIMARY KEY CHECK (last > 0),
            "time" bigint NOT NULL,
            note text NOT NULL
        );

        -- Nothing is changed or removed. A function comes before the triggers that call it.

        CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
        END
        $$;

        -- Statement triggers are not inherited by partitions, so each partition has its own. ENABLE ALWAYS: they fire with
        -- session_replication_role = replica, and for what a publisher sends, too.
        CREATE OR REPLACE FUNCTION audit_protect(target regclass) RETURNS void
        LANGUAGE plpgsql SET search_path = sluice_audit, pg_temp AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = target AND tgname = 'audit_no_change') THEN
                EXECUTE format('CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON %s '
                    'FOR EACH ROW EXECUTE FUNCTION audit_refuse()', target);
            END IF;
            IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = target AND tgname = 'audit_no_truncate') THEN
                EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON %s '
                    'FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()', target);
            END IF;
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER audit_no_change', target);
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER audit_no_truncate', target);
        END
        $$;

        -- Makes the partitions of a month and of so many after it, in UTC; those that are there already are left alone. The gateway calls
        -- it when it starts and before each new month. Attached, not created as partitions: writers and readers are not held up.
        CREATE OR REPLACE FUNCTION audit_make_partitions(first timestamptz, ahead integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = sluice_audit, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            start timestamptz := date_trunc('month', first);
            name text;
            made integer := 0;
        BEGIN
            IF ahead NOT BETWEEN 0 AND 24 THEN
                RAISE EXCEPTION 'audit_make_partitions: ahead is %, it must be 0 to 24', ahead;
            END IF;
            FOR month IN 0..ahead LOOP
                name := 'audit_entries_' || to_char(start, 'YYYY_MM');
                IF to_regclass(name) IS NULL THEN
                    EXECUTE format('CREATE TABLE %I (LIKE audit_entries INCLUDING ALL)', name);
                    EXECUTE format('ALTER TABLE audit_entries ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                        name, start, start + interval '1 month');
                    PERFORM audit_protect(name::regclass);
                    made := made + 1;
                END IF;
                start := start + interval '1 month';
            END LOOP;
            RETURN made;
        END
        $$;

        -- Takes a month out of the log, for sluice audit detach: its rows stay in the table audit_entries_YYYY_MM, which is no partition any
        -- more, and which the owner drops when the exported files are safe. Its ids, hashes and checkpoints stay. Refused for a month that
        -- is not over, that is not the oldest one, whose entries are not all in full tiles and under a checkpoint, or without a statement in
        -- audit_detached, without which the rest could not be verified.
        CREATE OR REPLACE FUNCTION audit_detach_month(month date) RETURNS text
        LANGUAGE plpgsql SET search_path = sluice_audit, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            name text := 'audit_entries_' || to_char(month, 'YYYY_MM');
            last bigint;
            oldest text;
        BEGIN
            SELECT min(c.relname) INTO oldest FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'audit_entries'::regclass;
            IF oldest IS DISTINCT FROM name THEN
                RAISE EXCEPTION 'audit_detach_month: % is not the oldest month, that is %', name, oldest;
            END IF;
            IF date_trunc('month', month) + interval '1 month' > now() THEN
                RAISE EXCEPTION 'audit_detach_month: % is not over', name;
            END IF;
            EXECUTE format('SELECT max(sequence) FROM %I', name) INTO last;
            IF last > (SELECT coalesce(max(tile) + 1, 0) * 256 FROM audit_tiles WHERE level = 0)
                OR last > (SELECT coalesce(max(size), 0) FROM audit_checkpoints)
                OR last >= (SELECT coalesce(max(sequence), 0) FROM audit_ids)
            THEN
                RAISE EXCEPTION 'audit_detach_month: entry % is not in a full tile and under a checkpoint yet; '
                    'wait until the log has 256 entries more', last;
            END IF;
            IF last > (SELECT coalesce(max(d.last), 0) FROM audit_detached AS d) THEN
                RAISE EXCEPTION 'audit_detach_month: no signed statement in audit_detached covers entry %; sluice audit detach writes it', last;
            END IF;
            EXECUTE format('ALTER TABLE audit_entries DETACH PARTITION %I', name);
            -- Detaching takes away the trigger that came with the table.
            PERFORM audit_protect(name::regclass);
            EXECUTE format('GRANT SELECT ON %I TO sluice_audit_reader', name);
            RETURN name;
        END
        $$;

        DO $$
        DECLARE
            partition regclass;
        BEGIN
            PERFORM audit_protect('audit_log');
            PERFORM audit_protect('audit_entries');
            PERFORM audit_protect('audit_ids');
            PERFORM audit_protect('audit_tiles');
            PERFORM audit_protect('audit_checkpoints');
            PERFORM audit_protect('audit_detached');
            FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit_entries'::regclass LOOP
                PERFORM audit_protect(partition);
            END LOOP;
            PERFORM audit_make_partitions(now(), 3);
        END
        $$;

        -- What people search, under the names that the platform's applications know. `details` and `signature` are read from the entry,
        -- with U+FFFD for NUL, which no text of PostgreSQL can hold.
        CREATE OR REPLACE VIEW audit_logs AS
        SELECT
            sequence AS id, "timestamp", encode(trace_id, 'hex') AS trace_id, encode(span_id, 'hex') AS span_id,
            actor, actor_type, resource, resource_type, action, outcome, decision, policy_version, compliance_tags,
            replace(convert_from(entry, 'UTF8'), '\u0000', '\ufffd')::json #> '{record,attributes,audit.details}' AS details,
            replace(convert_from(entry, 'UTF8'), '\u0000', '\ufffd')::json #>> '{record,attributes,audit.integrity.value,stringValue}' AS signature,
            created_at, event_name, record_id, entry
        FROM audit_entries;

        -- Partitions get no grants: rows are written and read by way of the table.
        REVOKE ALL ON ALL TABLES IN SCHEMA sluice_audit FROM PUBLIC, sluice_audit_writer, sluice_audit_reader;
        REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sluice_audit FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES IN SCHEMA sluice_audit REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
        GRANT USAGE ON SCHEMA sluice_audit TO sluice_audit_writer, sluice_audit_reader;
        GRANT SELECT, INSERT ON audit_log, audit_entries, audit_ids, audit_tiles, audit_checkpoints TO sluice_audit_writer;
        GRANT SELECT ON audit_detached TO sluice_audit_writer;
        GRANT SELECT ON audit_log, audit_entries, audit_ids, audit_tiles, audit_checkpoints, audit_detached, audit_logs
            TO sluice_audit_reader;
        GRANT EXECUTE ON FUNCTION audit_make_partitions(timestamptz, integer) TO sluice_audit_writer;
        RESET ROLE;

        """#
}
