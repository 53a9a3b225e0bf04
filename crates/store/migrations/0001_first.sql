-- Ids are UUIDs as text, moments are nanoseconds since 1970 in UTC, lists and settings are JSON.
-- `seq` is the order of creation: unlike a moment it does not depend on the clock.
-- Rows of a company name it, and foreign keys take it along, so that no row can refer to another company's.

CREATE TABLE installation (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE companies (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    company       TEXT NOT NULL REFERENCES companies (id),
    email         TEXT NOT NULL UNIQUE,
    role          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX users_of_company ON users (company);

CREATE TABLE api_keys (
    seq                  INTEGER PRIMARY KEY AUTOINCREMENT,
    id                   TEXT NOT NULL UNIQUE,
    company              TEXT NOT NULL REFERENCES companies (id),
    name                 TEXT NOT NULL,
    is_enabled           INTEGER NOT NULL,
    source               TEXT NOT NULL,
    masked_token         TEXT NOT NULL,
    roles                TEXT NOT NULL,
    capabilities         TEXT NOT NULL,
    token_hash           BLOB NOT NULL UNIQUE,
    old_token_hash       BLOB UNIQUE,
    last_used_at         INTEGER,
    expired_at           TEXT,
    old_token_expired_at INTEGER,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_of_company ON api_keys (company);

CREATE TABLE projects (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    company      TEXT NOT NULL REFERENCES companies (id),
    name         TEXT NOT NULL,
    display_name TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (company, name),
    UNIQUE (id, company)
) STRICT;

CREATE TABLE apps (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    company      TEXT NOT NULL REFERENCES companies (id),
    name         TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    project      TEXT,
    source       TEXT NOT NULL,
    kept         TEXT NOT NULL,
    is_suspended INTEGER NOT NULL,
    status       TEXT,
    serving      TEXT REFERENCES deployments (id) DEFERRABLE INITIALLY DEFERRED,
    created_by   TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (id, company),
    FOREIGN KEY (project, company) REFERENCES projects (id, company)
) STRICT;
CREATE INDEX apps_of_company ON apps (company);
CREATE INDEX apps_of_project ON apps (project, company);
CREATE INDEX apps_serving ON apps (serving);

CREATE TABLE processes (
    seq                INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 TEXT NOT NULL UNIQUE,
    app                TEXT NOT NULL,
    company            TEXT NOT NULL,
    key                TEXT NOT NULL,
    display_name       TEXT NOT NULL,
    entrypoint         TEXT NOT NULL,
    port               INTEGER,
    is_ingress_enabled INTEGER NOT NULL,
    ingress_protocol   TEXT NOT NULL,
    size               TEXT NOT NULL,
    scaling            TEXT,
    liveness_probe     TEXT,
    readiness_probe    TEXT,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    UNIQUE (app, key),
    FOREIGN KEY (app, company) REFERENCES apps (id, company) ON DELETE CASCADE
) STRICT;
CREATE INDEX processes_of_app ON processes (app, company);

CREATE TABLE env_vars (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    app          TEXT NOT NULL,
    company      TEXT NOT NULL,
    key          TEXT NOT NULL,
    value        BLOB NOT NULL, -- sealed
    is_runtime   INTEGER,
    is_buildtime INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (app, key),
    FOREIGN KEY (app, company) REFERENCES apps (id, company) ON DELETE CASCADE
) STRICT;
CREATE INDEX env_vars_of_app ON env_vars (app, company);

CREATE TABLE releases (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    app        TEXT NOT NULL,
    company    TEXT NOT NULL,
    reference  TEXT NOT NULL,
    digest     TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    config     TEXT NOT NULL,
    env        BLOB NOT NULL, -- sealed
    command    TEXT NOT NULL,
    port       INTEGER NOT NULL,
    probe      TEXT NOT NULL,
    limits     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (id, app),
    FOREIGN KEY (app, company) REFERENCES apps (id, company) ON DELETE CASCADE
) STRICT;
CREATE INDEX releases_of_app ON releases (app, company);

CREATE TABLE deployments (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    app           TEXT NOT NULL,
    company       TEXT NOT NULL,
    "trigger"     TEXT NOT NULL,
    reference     TEXT NOT NULL,
    digest        TEXT,
    "release"     TEXT,
    state         TEXT NOT NULL, -- the word, for queries
    state_details TEXT NOT NULL, -- the whole state
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    updated_at    INTEGER NOT NULL,
    FOREIGN KEY (app, company) REFERENCES apps (id, company) ON DELETE CASCADE,
    FOREIGN KEY ("release", app) REFERENCES releases (id, app)
) STRICT;
CREATE INDEX deployments_of_app ON deployments (app, company, seq);
CREATE INDEX deployments_of_release ON deployments ("release", app);
CREATE INDEX deployments_unfinished ON deployments (app) WHERE state NOT IN ('done', 'failed', 'skipped');
-- Of the deployments that wait the newest wins, so there is never a second one.
CREATE UNIQUE INDEX deployments_waiting ON deployments (app) WHERE state = 'waiting';

CREATE TABLE deployment_log (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    at         INTEGER NOT NULL,
    severity   TEXT NOT NULL,
    text       TEXT NOT NULL
) STRICT;
CREATE INDEX deployment_log_of_deployment ON deployment_log (deployment, seq);

-- Nothing refers to anything here: an entry outlives what it is about.
CREATE TABLE audit_log (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    company TEXT,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    ip      TEXT
) STRICT;
CREATE INDEX audit_log_of_company ON audit_log (company, seq);
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;
CREATE TRIGGER audit_log_is_not_deleted BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;
