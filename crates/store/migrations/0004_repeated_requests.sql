-- Requests that are carried out once, however often they arrive: the key that a client sent along, what the request
-- was, and the deployment that it started. Written together with that deployment, and gone with it.
CREATE TABLE request_keys (
    company    TEXT NOT NULL REFERENCES companies (id),
    key        TEXT NOT NULL,
    request    TEXT NOT NULL, -- sha256 of operation, application and body, as hex
    deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (company, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_keys_of_deployment ON request_keys (deployment);
CREATE INDEX request_keys_by_age ON request_keys (created_at);

-- The newest 10,000 entries of a company can still not be deleted. Older ones can, or the log would grow for ever.
DROP TRIGGER audit_log_is_not_deleted;
CREATE TRIGGER audit_log_is_not_deleted BEFORE DELETE ON audit_log
WHEN OLD.seq >= coalesce(
    (SELECT seq FROM audit_log WHERE company IS OLD.company ORDER BY seq DESC LIMIT 1 OFFSET 9999), 0)
BEGIN
    SELECT RAISE(ABORT, 'the newest entries of the audit log are only added to');
END;
