//! SQLite: one file a table group; every query takes the company it is for.
