-- Several containers serve one release side by side, and one that hangs is found by a probe of its own.

ALTER TABLE releases ADD COLUMN instances INTEGER NOT NULL DEFAULT 1;
-- JSON of a probe; NULL: none.
ALTER TABLE releases ADD COLUMN liveness TEXT;
