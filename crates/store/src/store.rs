//! The handle.
use std::path::Path;
use std::sync::Arc;

use model::CompanyId;

use crate::{CompanyStore, InstanceStore, StoreError};

/// The database of an installation. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<()>,
}

impl Store {
    /// Opens the database of a data folder and brings its schema up to date; makes folder, key and database
    /// when there are none.
    pub fn open(data_dir: &Path) -> Result<Store, StoreError> {
        let _ = data_dir;
        unimplemented!()
    }

    /// The rows of one company.
    pub fn company(&self, company: CompanyId) -> CompanyStore {
        CompanyStore { store: self.clone(), company }
    }

    /// What concerns the whole installation.
    pub fn instance(&self) -> InstanceStore {
        InstanceStore { store: self.clone() }
    }
}
