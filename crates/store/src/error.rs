//! Why the database did not do it, by what the caller can do about it.

use std::path::{Path, PathBuf};

use model::AppId;

/// What can go wrong with the database. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such row, or none of this company.
    #[error("no such record")]
    NotFound,
    /// Another application of the installation has this name.
    #[error("this name is taken")]
    NameTaken,
    /// The application has a variable with this name.
    #[error("a variable with this name exists")]
    KeyTaken,
    /// Applications use the credential: their ids and display names.
    #[error("applications use this credential: {}", names(.0))]
    CredentialInUse(Vec<(AppId, String)>),
    /// A stored secret does not go with another host or user name.
    #[error("another host or user name needs the secret again")]
    SecretNeeded,
    /// It has to wait until the running deployment is over.
    #[error("a deployment of this application is under way")]
    DeploymentInProgress,
    /// The deployment is not about to switch, so nothing was switched.
    #[error("this deployment is not about to switch")]
    NotSwitching,
    /// A client used its key for another request before.
    #[error("this key was used for another request")]
    RequestKeyReused,
    /// The first account exists.
    #[error("the installation is set up already")]
    SetupDone,
    /// The setup token is not the one in the file `setup-token`.
    #[error("the setup token is wrong; the right one is in the file setup-token of the data folder")]
    SetupTokenWrong,
    /// The disk has no room. Nothing was changed.
    #[error("the disk of the data folder is full; nothing was changed. Make room and try again")]
    DiskFull,
    /// Another process holds the database.
    #[error("the database is in use by another process; try again")]
    Busy,
    /// The database holds what it cannot hold, so it was changed or damaged from outside.
    #[error("the database is damaged ({0}); stop the server and restore a backup of the data folder")]
    Damaged(String),
    /// The sealing key does not fit.
    #[error("{path}: {problem}")]
    Key { path: PathBuf, problem: KeyProblem },
    /// A later version of Darsena wrote this database. `copy` is what it was before, when it is still there.
    #[error(
        "the database has schema version {found}, this version of Darsena knows up to {known}; install the later \
         version again, {}", back(.copy.as_deref())
    )]
    Newer { found: u32, known: u32, copy: Option<PathBuf> },
    /// A file beside the database.
    #[error("{action} {path} failed")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    /// SQLite refused, for a reason that nobody foresaw.
    #[error("the database failed: {0}")]
    Database(#[source] rusqlite::Error),
    /// The server is ending.
    #[error("the database is closed")]
    Closed,
}

/// What is wrong with the key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    #[error("the key of this database is missing; put the file back from a backup of the data folder")]
    Missing,
    #[error(
        "others can read the key (mode {0:04o}); run chmod 600 on it, and think about who could have read it"
    )]
    Readable(u32),
    #[error("a key has 32 bytes, this file has {0}; put the file back from a backup of the data folder")]
    Length(u64),
    #[error("this is key {found}, the database was sealed with key {expected}; put that one back")]
    Wrong { found: String, expected: String },
    #[error("it is no regular file")]
    NoFile,
}

/// How to go back. A log that belongs to the later database must not be applied to the copy.
fn back(copy: Option<&Path>) -> String {
    match copy {
        Some(copy) => format!(
            "or go back to what it was before the upgrade: remove darsena.db-wal and darsena.db-shm, and copy {} over \
             darsena.db; what was changed since is lost then",
            copy.display()
        ),
        None => "or restore a backup of the data folder from before the upgrade".to_owned(),
    }
}

fn names(apps: &[(AppId, String)]) -> String {
    let names: Vec<_> = apps.iter().map(|(_, name)| name.as_str()).collect();
    names.join(", ")
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{Error, ErrorCode, ffi};
        match &error {
            Error::QueryReturnedNoRows => StoreError::NotFound,
            Error::SqliteFailure(code, _) => match code.code {
                ErrorCode::DiskFull => StoreError::DiskFull,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                    StoreError::Damaged(error.to_string())
                }
                // What a row refers to is not there, or not in this company.
                ErrorCode::ConstraintViolation if code.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
                    StoreError::NotFound
                }
                _ => StoreError::Database(error),
            },
            Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..) => StoreError::Damaged(error.to_string()),
            _ => StoreError::Database(error),
        }
    }
}

impl StoreError {
    /// Gives a broken uniqueness rule its meaning; everything else stays what it is.
    pub(crate) fn when_taken(self, taken: StoreError) -> StoreError {
        match &self {
            StoreError::Database(rusqlite::Error::SqliteFailure(code, _))
                if code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE =>
            {
                taken
            }
            _ => self,
        }
    }
}
