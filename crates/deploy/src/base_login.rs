//! Which of a company's credentials a base image is asked for with.

use model::{Credential, CredentialId, CredentialStatus};

/// The credential for a base image at `host`: the application's own if it is for that host, else one of the company's
/// that is. Of several a valid one comes first, then the one that was used last, then the newest. One that its
/// registry refused is taken only where the application names it: most base images are public, and nobody gets those
/// either who comes with a login that has expired. `None` means anonymously.
pub fn choose(own: Option<CredentialId>, known: &[Credential], host: &str) -> Option<CredentialId> {
    let fitting = || known.iter().filter(|credential| credential.fits(host));
    let chosen = fitting().find(|credential| Some(credential.id) == own).or_else(|| {
        fitting().filter(|credential| credential.status != CredentialStatus::Rejected).max_by_key(
            |credential| {
                (credential.status == CredentialStatus::Valid, credential.last_used_at, credential.created_at)
            },
        )
    });
    chosen.map(|credential| credential.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{CompanyId, RegistryKind, Timestamp};

    fn credential(host: &str, status: CredentialStatus, used: Option<i64>, made: i64) -> Credential {
        let at = |second| Timestamp::from_second(second).expect("a small number");
        Credential {
            id: CredentialId::new(),
            company: CompanyId::new(),
            name: host.into(),
            registry: RegistryKind::Github,
            host: Some(host.into()),
            username: "bot".into(),
            status,
            last_verified_at: None,
            last_used_at: used.map(at),
            created_at: at(made),
            updated_at: at(made),
        }
    }

    #[test]
    fn the_applications_own_comes_first_where_it_fits() {
        use CredentialStatus::{Rejected, Valid};
        let known = [credential("ghcr.io", Valid, Some(9), 9), credential("ghcr.io", Rejected, None, 1)];
        assert_eq!(choose(Some(known[1].id), &known, "ghcr.io"), Some(known[1].id));
        assert_eq!(choose(Some(CredentialId::new()), &known, "ghcr.io"), Some(known[0].id));
        assert_eq!(choose(Some(known[1].id), &known, "docker.io"), None, "it is sent to no other host");
        assert_eq!(choose(None, &[], "ghcr.io"), None);
    }

    #[test]
    fn of_several_the_best_known_is_taken() {
        use CredentialStatus::{Unverified, Valid};
        let (lately, before) =
            (credential("a.example", Valid, Some(9), 1), credential("a.example", Valid, Some(5), 3));
        let (never, unproven) =
            (credential("a.example", Valid, None, 2), credential("a.example", Unverified, Some(20), 20));
        let newest = credential("a.example", Valid, None, 4);
        let pick = |known: &[&Credential]| {
            let known: Vec<_> = known.iter().copied().cloned().collect();
            choose(None, &known, "a.example")
        };
        assert_eq!(pick(&[&unproven, &before, &lately, &never]), Some(lately.id));
        assert_eq!(pick(&[&unproven, &never, &newest]), Some(newest.id));
        assert_eq!(pick(&[&unproven]), Some(unproven.id), "the only one is taken");
    }

    #[test]
    fn a_refused_login_keeps_nobody_from_a_public_base() {
        let refused = [credential("docker.io", CredentialStatus::Rejected, Some(9), 9)];
        assert_eq!(choose(None, &refused, "docker.io"), None);
        assert_eq!(choose(Some(CredentialId::new()), &refused, "docker.io"), None);
        assert_eq!(
            choose(Some(refused[0].id), &refused, "docker.io"),
            Some(refused[0].id),
            "it is asked for"
        );
    }
}
