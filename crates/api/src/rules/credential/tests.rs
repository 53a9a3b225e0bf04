use wire::RegistryKind as Wire;

use super::*;

fn known() -> Credential {
    let input = CreateDockerRegistry {
        name: "team".into(),
        registry: Some(Wire::Custom),
        username: "bot".into(),
        secret: "s3cret-canary".into(),
        host: Some("registry.example.com:5000".into()),
    };
    let at = Some(Timestamp::UNIX_EPOCH);
    let credential = new(CompanyId::new(), input).expect("a credential").0;
    Credential { status: CredentialStatus::Valid, last_verified_at: at, ..credential }
}

fn problem(result: Result<impl std::fmt::Debug, ApiError>) -> String {
    format!("{:?}", result.expect_err("a refusal"))
}

#[test]
fn a_host_is_written_as_images_write_it() {
    for (text, host) in [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("ghcr.io:443", "ghcr.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io:443", "docker.io"),
        ("Registry.Example.com:5000", "registry.example.com:5000"),
        ("nas:5000", "nas:5000"),
        ("localhost:5000", "localhost:5000"),
        ("10.0.0.5:5000", "10.0.0.5:5000"),
        ("xn--hcr-0nd.io", "xn--hcr-0nd.io"),
    ] {
        assert_eq!(host_for(RegistryKind::Custom, Some(text)).expect(text).as_deref(), Some(host));
    }
}

#[test]
fn what_is_no_host_is_refused_in_words() {
    for (text, words) in [
        ("", "empty"),
        ("https://ghcr.io", "write ghcr.io"),
        ("https://index.docker.io/v1/", "write docker.io"),
        ("ghcr.io/acme", "write ghcr.io"),
        ("ghcr.io/", "write ghcr.io"),
        ("user:pass@ghcr.io", "before the @"),
        ("ghcr.io@evil.tld", "before the @"),
        ("\u{ff47}hcr.io", "U+FF47"),
        ("gh\u{441}r.io", "U+0441"),
        ("ghcr\u{3002}io", "U+3002"),
        ("ghcr.io ", "U+0020"),
        ("ghcr.io\r\n", "U+000D"),
        ("ghcr.io.", "no host name"),
        ("ghcr..io", "no host name"),
        ("-ghcr.io", "cannot begin"),
        ("127.1", "no host name"),
        ("0x7f.1", "no host name"),
        ("2130706433", "no host name"),
        ("[::1]:5000", "IPv6"),
        ("ghcr.io:0", "no port"),
        ("ghcr.io:65536", "no port"),
        ("ghcr.io:x", "no port"),
        ("ghcr.io?x=y", "cannot hold"),
        ("registry", "a dot or a port"),
        ("localhost", "images of this machine"),
    ] {
        let refusal = problem(host_for(RegistryKind::Custom, Some(text)));
        assert!(refusal.contains(words) && !refusal.contains("pass"), "{text:?}: {refusal}");
    }
}

#[test]
fn every_kind_has_its_hosts() {
    use RegistryKind as K;
    for (kind, host) in [
        (K::DockerHub, Some("docker.io")),
        (K::Github, Some("ghcr.io")),
        (K::Gitlab, Some("registry.gitlab.com")),
        (K::Gcr, Some("gcr.io")),
        (K::DigitalOcean, Some("registry.digitalocean.com")),
        (K::Ecr, None),
    ] {
        assert_eq!(host_for(kind, None).expect("a default").as_deref(), host);
    }
    assert!(problem(host_for(K::Custom, None)).contains("registry_host_required"));
    for (kind, host) in [
        (K::DockerHub, "index.docker.io"),
        (K::Gcr, "eu.gcr.io"),
        (K::Gcr, "europe-west1-docker.pkg.dev"),
        (K::Ecr, "123456789012.dkr.ecr.eu-south-1.amazonaws.com"),
        (K::Github, "containers.acme.ghe.com"),
        (K::Gitlab, "registry.gitlab.example.com:5050"),
    ] {
        assert!(host_for(kind, Some(host)).is_ok(), "{host}");
    }
    for (kind, host) in [
        (K::DockerHub, "ghcr.io"),
        (K::DockerHub, "docker.io.evil.tld"),
        (K::DockerHub, "docker.io:444"),
        (K::Gcr, "gcr.io.evil.tld"),
        (K::Gcr, "evilgcr.io"),
        (K::Ecr, "dkr.ecr.amazonaws.com.evil.tld"),
        (K::Ecr, "evilamazonaws.com"),
        (K::DigitalOcean, "registry.digitalocean.com:5000"),
    ] {
        assert!(problem(host_for(kind, Some(host))).contains("with registry custom"), "{host}");
    }
}

#[test]
fn one_line_break_at_the_end_of_a_secret_does_not_count() {
    let key = "{\n  \"private_key\": \"-----BEGIN\\n\"\n}";
    for (given, kept) in [
        ("token", "token"),
        ("token\n", "token"),
        ("token\r\n", "token"),
        (" pass word ", " pass word "),
        (key, key),
        ("**token**", "**token**"),
    ] {
        assert_eq!(usable_secret(given.into()).expect("usable").expose(), kept);
    }
}

#[test]
fn placeholders_and_empty_lines_are_no_secrets() {
    let long = "x".repeat(LONGEST_SECRET + 1);
    for bad in ["", "\n", "\r\n", "canary\n\n", "\ncanary", "\r\ncanary", "can\0ary", &long] {
        let refusal = problem(usable_secret(bad.into()));
        assert!(!refusal.contains("canary") && !refusal.contains("xxx"), "{refusal}");
    }
    for mask in
        ["********", "*", "••••••••", "●●●", " *** ", "[hidden]", "(sensitive value)", "<REDACTED>", " "]
    {
        assert!(problem(usable_secret(mask.into())).contains("in place of a secret"), "{mask}");
    }
}

#[test]
fn user_names_fit_into_a_basic_header() {
    for good in ["bot", "_json_key", "AWS", "robot$acme+ci", "jean-luc@example.com", "Jürgen"] {
        assert!(check_username(good).is_ok(), "{good}");
    }
    for bad in ["", "a:b", " bot", "bot ", "a\nb", "a\u{7f}", &"x".repeat(256)] {
        assert!(check_username(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn another_account_needs_the_secret_again() {
    let known = known();
    for input in [
        UpdateDockerRegistry { registry: Some(Wire::Github), ..Default::default() },
        UpdateDockerRegistry { host: Some("evil.tld".into()), ..Default::default() },
        UpdateDockerRegistry { host: Some("registry.example.com".into()), ..Default::default() },
        UpdateDockerRegistry { username: Some("Bot".into()), ..Default::default() },
    ] {
        let refusal = problem(changed(&known, input.clone()));
        assert!(refusal.contains("secret") && refusal.contains("registry.example.com:5000"), "{refusal}");
        let wanted = changed(&known, UpdateDockerRegistry { secret: Some("other".into()), ..input });
        let (credential, _) = wanted.expect("with the secret");
        assert_eq!((credential.status, credential.last_verified_at), (CredentialStatus::Unverified, None));
    }
}

#[test]
fn what_is_sent_again_as_it_was_changes_nothing() {
    let known = known();
    let same = UpdateDockerRegistry {
        name: Some("renamed".into()),
        registry: Some(Wire::Custom),
        username: Some("bot".into()),
        secret: None,
        host: Some("REGISTRY.example.com:5000".into()),
    };
    let (credential, secret) = changed(&known, same).expect("no secret needed");
    assert!(secret.is_none() && is_same_account(&credential, &known));
    assert_eq!(credential.status, CredentialStatus::Valid);
    let kind_only = UpdateDockerRegistry { registry: Some(Wire::Custom), ..Default::default() };
    assert_eq!(changed(&known, kind_only).expect("the host stays").0.host, known.host);
    let to_custom = UpdateDockerRegistry { registry: Some(Wire::Custom), ..Default::default() };
    let github = Credential { registry: RegistryKind::Github, host: Some("ghcr.io".into()), ..known };
    assert!(problem(changed(&github, to_custom)).contains("registry_host_required"));
}
