//! One request: from its host to a container and back.

/// Carries the token of a candidate. No application ever sees it.
pub(crate) const CANDIDATE_HEADER: &str = "darsena-candidate";
