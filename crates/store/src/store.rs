//! The handle on the database, and the two ways through it: reading and changing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::CompanyId;
use rusqlite::{Connection, Transaction};

use crate::key::Key;
use crate::readers::Readers;
use crate::reserve::Reserve;
use crate::seal::Vault;
use crate::setup::TokenFile;
use crate::writer::Writer;
use crate::{CompanyStore, InstanceStore, Result, StoreError, backup, file, key_check, migrate, open};

const DATABASE: &str = "darsena.db";
const KEY: &str = "key";

/// The database of an installation. Cheap to clone; the last clone to go closes it, once every change that was
/// handed over is made.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// Before the writer, so that they are closed when it closes: the last connection that can write clears the
    /// log away.
    readers: Readers,
    writer: Writer,
    vault: Arc<Vault>,
    token_file: TokenFile,
    times_busy: AtomicU64,
}

/// The files of a data folder that are no good without each other.
pub struct Files {
    pub database: PathBuf,
    pub key: PathBuf,
}

impl Files {
    pub fn of(data_dir: &Path) -> Self {
        Self { database: data_dir.join(DATABASE), key: data_dir.join(KEY) }
    }

    /// Finds the key of an open database, and brings the schema up to date once it is sure that both belong
    /// together.
    pub fn bring_up_to_date(&self, connection: &mut Connection) -> Result<Key> {
        let version = migrate::version(connection).map_err(|error| self.with_copy(error))?;
        let key = key_check::find_key(connection, &self.key)?;
        if version < migrate::LATEST {
            backup::before_migration(connection, &self.database, migrate::LATEST)?;
            migrate::migrate(connection)?;
            backup::remove_older(&self.database, migrate::LATEST)?;
        }
        Ok(key)
    }

    /// Names the copy to go back to, where a later version is refused.
    fn with_copy(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Newer { found, known, .. } => {
                let copy = backup::for_version(&self.database, found, known);
                StoreError::Newer { found, known, copy }
            }
            other => other,
        }
    }
}

impl Store {
    /// Opens the database of a data folder and brings its schema up to date, after copying it to
    /// `darsena.db.before-VERSION`, where it stays until the next upgrade. Makes folder, key, database and
    /// setup token when there is no database yet; never makes a key for a database that is there.
    ///
    /// It blocks for as long as the check of the file takes. Its methods need a tokio runtime.
    pub fn open(data_dir: &Path) -> Result<Store> {
        file::make_folder(data_dir)?;
        let files = Files::of(data_dir);
        if !file::exists(&files.database)? {
            // The key is on the disk before the database is, so a database without a key has lost it.
            let key = Key::read_or_make(&files.key)?;
            open::make_database(&files.database, &key)?;
        }
        let mut connection = open::writer(&files.database)?;
        let key = files.bring_up_to_date(&mut connection)?;
        let vault = Arc::new(Vault::new(&key));
        let token_file = TokenFile::of(data_dir);
        token_file.match_up(&mut connection)?;

        let writer = Writer::start(connection, Reserve::of(&files.database))
            .map_err(file::failed("starting the writer of", &files.database))?;
        let readers = Readers::new(files.database);
        let inner = Inner { readers, writer, vault, token_file, times_busy: AtomicU64::new(0) };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// The rows of one company.
    pub fn company(&self, company: CompanyId) -> CompanyStore {
        CompanyStore { store: self.clone(), company }
    }

    /// What concerns the whole installation.
    pub fn instance(&self) -> InstanceStore {
        InstanceStore { store: self.clone() }
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.counted(self.inner.readers.run(move |transaction| query(transaction)).await)
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.counted(self.inner.writer.run(change).await)
    }

    /// For what must be possible on a full disk too: removing, and writing down how far a deployment is.
    pub(crate) async fn write_on_reserve<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.counted(self.inner.writer.run_on_reserve(change).await)
    }

    /// How often something was refused because another process held the database. Whoever finds the number grown over
    /// work that failed, and may do it again, does so.
    pub fn times_busy(&self) -> u64 {
        self.inner.times_busy.load(Ordering::SeqCst)
    }

    fn counted<T>(&self, result: Result<T>) -> Result<T> {
        if matches!(result, Err(StoreError::Busy)) {
            self.inner.times_busy.fetch_add(1, Ordering::SeqCst);
        }
        result
    }

    pub(crate) fn vault(&self) -> Arc<Vault> {
        Arc::clone(&self.inner.vault)
    }

    pub(crate) fn token_file(&self) -> &TokenFile {
        &self.inner.token_file
    }
}
