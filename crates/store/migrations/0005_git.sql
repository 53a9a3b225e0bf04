-- Applications that are built from a Git repository, the logins for Git servers, and the addresses that others call to
-- have an application deployed.

CREATE TABLE git_credentials (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    company      TEXT NOT NULL REFERENCES companies (id),
    name         TEXT NOT NULL,
    host         TEXT NOT NULL,
    login        TEXT NOT NULL, -- JSON of what may be seen of it
    secret       BLOB NOT NULL, -- sealed
    last_used_at INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (id, company)
) STRICT;
CREATE INDEX git_credentials_of_company ON git_credentials (company);

-- Made anew, as SQLite cannot add a foreign key of two columns to a table that is there.
CREATE TABLE apps_with_git (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    company        TEXT NOT NULL REFERENCES companies (id),
    name           TEXT NOT NULL UNIQUE,
    display_name   TEXT NOT NULL,
    project        TEXT,
    source         TEXT NOT NULL,
    credential     TEXT GENERATED ALWAYS AS
                   (coalesce(json_extract(source, '$.Image.credential'),
                             json_extract(source, '$.Git.build.base_credential'))) STORED,
    git_credential TEXT GENERATED ALWAYS AS (json_extract(source, '$.Git.credential')) STORED,
    kept           TEXT NOT NULL,
    is_suspended   INTEGER NOT NULL,
    status         TEXT,
    serving        TEXT REFERENCES deployments (id) DEFERRABLE INITIALLY DEFERRED,
    created_by     TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (id, company),
    FOREIGN KEY (project, company) REFERENCES projects (id, company),
    FOREIGN KEY (credential, company) REFERENCES credentials (id, company),
    FOREIGN KEY (git_credential, company) REFERENCES git_credentials (id, company)
) STRICT;
INSERT INTO apps_with_git (seq, id, company, name, display_name, project, source, kept, is_suspended, status,
                           serving, created_by, created_at, updated_at)
SELECT seq, id, company, name, display_name, project, source, kept, is_suspended, status, serving, created_by,
       created_at, updated_at
FROM apps;
DROP TABLE apps;
ALTER TABLE apps_with_git RENAME TO apps;
CREATE INDEX apps_of_company ON apps (company);
CREATE INDEX apps_of_project ON apps (project, company);
CREATE INDEX apps_of_credential ON apps (credential, company);
CREATE INDEX apps_of_git_credential ON apps (git_credential, company);
CREATE INDEX apps_serving ON apps (serving);

-- JSON of what is built; NULL: a ready image.
ALTER TABLE deployments ADD COLUMN git TEXT;
-- The release whose image is rolled out. A note, without a foreign key: it may be gone before the deployment is.
ALTER TABLE deployments ADD COLUMN image_of TEXT;
-- JSON of the commit that it was built from; NULL: it was pulled.
ALTER TABLE releases ADD COLUMN "commit" TEXT;

-- Addresses that start a deployment: `deploy` is secret itself, `push` has a secret that signs what is sent there.
CREATE TABLE hooks (
    app            TEXT NOT NULL,
    company        TEXT NOT NULL,
    kind           TEXT NOT NULL,
    secret         BLOB NOT NULL, -- sealed
    last_called_at INTEGER,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (app, kind),
    FOREIGN KEY (app, company) REFERENCES apps (id, company) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX hooks_of_app ON hooks (app, company);
