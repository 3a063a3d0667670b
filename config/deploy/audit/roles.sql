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
