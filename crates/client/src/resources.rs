//! Clusters, and what an image is.

use wire::*;

use crate::{Client, Error};

impl Client {
    /// `GET /resources/clusters`.
    pub async fn clusters(&self) -> Result<Vec<Cluster>, Error> {
        self.get(self.url(&["resources", "clusters"])).await
    }

    /// `POST /images/inspect`. An extension.
    pub async fn inspect_image(&self, body: &InspectImage) -> Result<ImageInspection, Error> {
        self.post(self.url(&["images", "inspect"]), body).await
    }
}
