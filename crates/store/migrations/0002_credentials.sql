-- Registry credentials, and which one an application is pulled with.

CREATE TABLE credentials (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    company          TEXT NOT NULL REFERENCES companies (id),
    name             TEXT NOT NULL,
    registry         TEXT NOT NULL,
    host             TEXT,
    username         TEXT NOT NULL,
    secret           BLOB NOT NULL, -- sealed
    status           TEXT NOT NULL,
    last_verified_at INTEGER,
    last_used_at     INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    UNIQUE (id, company)
) STRICT;
CREATE INDEX credentials_of_company ON credentials (company);

-- The table is made anew, because SQLite cannot add a foreign key of two columns to one that is there. The
-- credential is a part of the source; its column shows it to the foreign key. What a source named until now was
-- nothing: there were no credentials.
CREATE TABLE apps_with_credential (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    company      TEXT NOT NULL REFERENCES companies (id),
    name         TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    project      TEXT,
    source       TEXT NOT NULL,
    credential   TEXT GENERATED ALWAYS AS (json_extract(source, '$.Image.credential')) STORED,
    kept         TEXT NOT NULL,
    is_suspended INTEGER NOT NULL,
    status       TEXT,
    serving      TEXT REFERENCES deployments (id) DEFERRABLE INITIALLY DEFERRED,
    created_by   TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (id, company),
    FOREIGN KEY (project, company) REFERENCES projects (id, company),
    FOREIGN KEY (credential, company) REFERENCES credentials (id, company)
) STRICT;
INSERT INTO apps_with_credential (seq, id, company, name, display_name, project, source, kept, is_suspended, status,
                                  serving, created_by, created_at, updated_at)
SELECT seq, id, company, name, display_name, project, json_set(source, '$.Image.credential', NULL), kept,
       is_suspended, status, serving, created_by, created_at, updated_at
FROM apps;
DROP TABLE apps;
ALTER TABLE apps_with_credential RENAME TO apps;
CREATE INDEX apps_of_company ON apps (company);
CREATE INDEX apps_of_project ON apps (project, company);
CREATE INDEX apps_of_credential ON apps (credential, company);
CREATE INDEX apps_serving ON apps (serving);

-- A note of what was used, without a foreign key: it outlives the credential.
ALTER TABLE releases ADD COLUMN credential TEXT;
ALTER TABLE deployments ADD COLUMN credential TEXT;
