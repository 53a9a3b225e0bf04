//! API keys, and the first account.

use wire::*;

use crate::{Client, Error};

impl Client {
    /// `POST /setup`: makes the first account. The only operation that takes no key.
    pub async fn setup(&self, body: &Setup) -> Result<SetupDone, Error> {
        self.post(self.url(&["setup"]), body).await
    }

    /// `GET /api-keys/validate`: whether the server takes this client's key.
    pub async fn validate_key(&self) -> Result<ApiKeyValidation, Error> {
        self.get(self.url(&["api-keys", "validate"])).await
    }
}
