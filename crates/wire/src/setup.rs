//! The first account: `POST /v3/setup`, without authentication. All of it is an extension.

use serde::{Deserialize, Serialize};

use crate::{CreatedApiKey, Secret};

/// The body of `POST /v3/setup`. It works once; afterwards the token is spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The one-time token that the first start of `darsena serve` left in its data folder.
    pub setup_token: Secret,
    pub email: String,
    pub password: Secret,
    /// Name of the first company.
    pub company: String,
}

/// The answer: who now owns the installation, and a first key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupDone {
    pub company_id: String,
    pub user_id: String,
    pub api_key: CreatedApiKey,
}
