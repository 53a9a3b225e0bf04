//! The handle on the database, and the two ways through it: reading and changing.

use std::path::Path;
use std::sync::Arc;

use model::CompanyId;
use rusqlite::{Connection, Transaction};

use crate::key::Key;
use crate::readers::Readers;
use crate::seal::Vault;
use crate::setup::TokenFile;
use crate::writer::Writer;
use crate::{CompanyStore, InstanceStore, Result, file, migrate, open};

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
}

impl Store {
    /// Opens the database of a data folder and brings its schema up to date. Makes folder, key, database and
    /// setup token when there is no database yet; never makes a key for a database that is there.
    ///
    /// It blocks for as long as the check of the file takes. Its methods need a tokio runtime.
    pub fn open(data_dir: &Path) -> Result<Store> {
        file::make_folder(data_dir)?;
        let (database, key_path) = (data_dir.join(DATABASE), data_dir.join(KEY));
        let key = if database.try_exists().map_err(file::failed("looking for", &database))? {
            Key::read(&key_path)?
        } else {
            // The key is on the disk before the database is, so a database without a key has lost it.
            let key = Key::read_or_make(&key_path)?;
            open::make_database(&database, &key)?;
            key
        };
        let mut connection = open::writer(&database)?;
        migrate::migrate(&mut connection)?;
        let vault = Arc::new(open::check_key(&connection, &key, &key_path)?);
        let token_file = TokenFile::of(data_dir);
        token_file.match_up(&mut connection)?;

        let writer = Writer::start(connection).map_err(file::failed("starting the writer of", &database))?;
        let inner = Inner { readers: Readers::new(database), writer, vault, token_file };
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
        self.inner.readers.run(move |transaction| query(transaction)).await
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.inner.writer.run(change).await
    }

    pub(crate) fn vault(&self) -> Arc<Vault> {
        Arc::clone(&self.inner.vault)
    }

    pub(crate) fn token_file(&self) -> &TokenFile {
        &self.inner.token_file
    }
}
