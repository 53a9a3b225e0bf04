//! The Git servers that people know by name: what to enter where. The long form is docs/git.md.

/// What a person has to know about a server.
pub struct Facts {
    /// As its maker writes it.
    pub title: &'static str,
    /// Which user name goes with a token.
    pub user: &'static str,
    /// Which token to make, with which scope, and where.
    pub token: &'static str,
    /// Where a deploy key goes.
    pub key: &'static str,
    /// Where a webhook goes.
    pub webhook: &'static str,
}

/// All of them, for a server that is not known by its host.
pub const ALL: [&Facts; 4] = [&GITHUB, &GITLAB, &GITEA, &BITBUCKET];

/// What is known of the server at a host, which may have a port.
pub fn at(host: &str) -> Option<&'static Facts> {
    match host.split(':').next().unwrap_or_default() {
        "github.com" => Some(&GITHUB),
        "gitlab.com" => Some(&GITLAB),
        "bitbucket.org" => Some(&BITBUCKET),
        "codeberg.org" | "gitea.com" => Some(&GITEA),
        _ => None,
    }
}

/// The host of a repository's address, `https://HOST/PATH` or `git@HOST:PATH`.
pub fn host_of(url: &str) -> &str {
    let place = match url.split_once("://") {
        Some((_, rest)) => rest.split('/').next(),
        None => url.split(':').next(),
    };
    let place = place.unwrap_or_default();
    place.rsplit('@').next().unwrap_or(place)
}

const GITHUB: Facts = Facts {
    title: "GitHub",
    user: "any, as x-access-token",
    token: "Settings > Developer settings > Personal access tokens > Fine-grained tokens: only this repository, \
            permission Contents: Read-only",
    key: "repository > Settings > Deploy keys > Add deploy key, without write access",
    webhook: "repository > Settings > Webhooks > Add webhook: Payload URL, Content type application/json, Secret, \
              just the push event",
};

const GITLAB: Facts = Facts {
    title: "GitLab",
    user: "the one beside the deploy token, as gitlab+deploy-token-1",
    token: "project > Settings > Repository > Deploy tokens, scope read_repository",
    key: "project > Settings > Repository > Deploy keys > Add new key, without write permissions",
    webhook: "project > Settings > Webhooks > Add new webhook: URL, Secret token, trigger Push events",
};

const GITEA: Facts = Facts {
    title: "Gitea or Forgejo",
    user: "the user who made the token",
    token: "Settings > Applications > Generate new token, permission repository: Read",
    key: "repository > Settings > Deploy keys > Add deploy key, without write access",
    webhook: "repository > Settings > Webhooks > Add webhook > Gitea: Target URL, POST, application/json, Secret, \
              Push events",
};

const BITBUCKET: Facts = Facts {
    title: "Bitbucket",
    user: "x-token-auth",
    token: "repository > Repository settings > Access tokens, scope Repositories: Read",
    key: "repository > Repository settings > Access keys > Add key",
    webhook: "repository > Repository settings > Webhooks > Add webhook: URL, Secret, trigger Repository push",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_host_alone() {
        for (host, title) in
            [("github.com", "GitHub"), ("gitlab.com:443", "GitLab"), ("codeberg.org", "Gitea or Forgejo")]
        {
            assert_eq!(at(host).map(|facts| facts.title), Some(title), "{host}");
        }
        for other in ["github.com.evil.example", "git.example.com", "", "api.github.com"] {
            assert!(at(other).is_none(), "{other}");
        }
        for url in [
            "https://github.com/a/b",
            "ssh://git@github.com/a/b.git",
            "git@github.com:a/b.git",
            "github.com:a/b",
        ] {
            assert_eq!(host_of(url), "github.com", "{url}");
        }
        assert_eq!(host_of("https://git.example.com:8443/a"), "git.example.com:8443");
    }
}
