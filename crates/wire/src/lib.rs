//! The JSON of API v3, as `api/openapi-v3.yaml` writes it: the operations of stage 1.
//!
//! These types know no rules. An id, a timestamp, an image reference or a name is the text that came or goes;
//! who receives it parses it. Fields that the file calls *echo* are therefore returned byte for byte.
//!
//! Three conventions hold everywhere:
//!
//! - fields that the file does not know are ignored (its leniency rule);
//! - a request's `Option` is `None` when the field was left out, and is then not sent. Where the file allows
//!   `null` with a meaning of its own, the type is `Option<Option<T>>`, see [`present`];
//! - an answer's `Option` is always written, `null` when there is no value, unless the field's comment says so.
//!
//! What is marked *extension* is Darsena's own and not part of the hosted interface.

mod api_key;
mod application;
mod deployment;
mod docker_registry;
mod env_var;
mod error;
mod git;
mod hook;
mod image;
mod log;
mod page;
pub mod present;
mod probe;
mod process;
mod project;
mod resource;
mod scaling;
mod secret;
mod setup;

pub use api_key::*;
pub use application::*;
pub use deployment::*;
pub use docker_registry::*;
pub use env_var::*;
pub use error::*;
pub use git::*;
pub use hook::*;
pub use image::*;
pub use log::*;
pub use page::*;
pub use probe::*;
pub use process::*;
pub use project::*;
pub use resource::*;
pub use scaling::*;
pub use secret::Secret;
pub use setup::*;
