//! `darsena git-credentials`.

use serde_json::{Value, json};

use super::harness::{Request, Server, User, application, ok, page, sent};

const PUBLIC: &str = "ssh-ed25519 AAAAC3Nz darsena deploy";

/// A credential with a token, of the id `NAME-id`.
pub fn token(name: &str) -> Value {
    json!({
        "id": format!("{name}-id"), "company_id": "c", "name": name, "kind": "token", "host": "git.example.com",
        "username": "bot", "public_key": null, "host_keys": [], "last_used_at": null, "used_by": ["app-id"],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"
    })
}

fn key(name: &str) -> Value {
    let mut key = token(name);
    for (field, value) in [
        ("kind", json!("deploy_key")),
        ("username", Value::Null),
        ("public_key", json!(PUBLIC)),
        ("host_keys", json!([{"key": "ssh-ed25519 AAAAhost", "fingerprint": "SHA256:abc"}])),
    ] {
        key[field] = value;
    }
    key
}

fn platform() -> Server {
    Server::start(|request: &Request| {
        let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
        match path {
            "GET /v3/git-credentials" => page(&[token("team"), key("deploy")]),
            "GET /v3/applications" => page(&[application("")]),
            "POST /v3/git-credentials" => {
                let sent: Value = serde_json::from_str(&request.body).unwrap();
                let name = sent["name"].as_str().unwrap();
                let mut made = if sent["kind"] == "token" { token(name) } else { key(name) };
                made["host"] = sent["host"].clone();
                (201, "", made.to_string())
            }
            "PATCH /v3/git-credentials/team-id" => ok(token("team")),
            "DELETE /v3/git-credentials/team-id" if request.line.contains("force=true") => {
                ok(json!({"message": "team is removed"}))
            }
            "DELETE /v3/git-credentials/team-id" => {
                let data = json!({"code": "git_credential_in_use", "applications": [{"id": "a", "display_name": "Shop"}]});
                (409, "", json!({"message": "in use", "status": 409, "data": data}).to_string())
            }
            _ => (404, "", json!({"message": format!("not here: {path}"), "status": 404}).to_string()),
        }
    })
}

#[test]
fn a_token_is_read_from_stdin_and_goes_nowhere_else() {
    let server = platform();
    let arguments =
        ["git-credentials", "create", "token", "--name", "acme", "--host", "github.com", "--username", "bot"];
    let user = User::of(&server);
    let ended = user.run_with(&[&arguments[..], &["--token-stdin"]].concat(), "canary-token\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "acme is stored for github.com\n"));
    for words in ["Contents: Read-only", "--git-credential acme"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert_eq!(
        sent(&server, "POST /v3/git-credentials"),
        json!({"name": "acme", "kind": "token", "host": "github.com", "username": "bot", "secret": "canary-token"})
    );
    let no_terminal = user.run(&arguments);
    assert!(no_terminal.code == 2 && no_terminal.stderr.contains("--token-stdin"), "{}", no_terminal.stderr);
    let known = ["git-credentials", "create", "key", "--name", "team", "--host", "github.com"];
    let taken = user.run(&known);
    assert!(taken.code == 1 && taken.stderr.contains("update team"), "{}", taken.stderr);
}

#[test]
fn a_key_prints_its_public_half_and_where_it_goes() {
    let server = platform();
    let user = User::of(&server);
    let create =
        |host: &'static str| user.run(&["git-credentials", "create", "key", "--name", "d2", "--host", host]);
    let ended = create("git.example.com:2222");
    assert_eq!((ended.code, ended.stdout), (0, format!("{PUBLIC}\n")));
    for words in ["GitLab: ", "Bitbucket: ", "ssh-ed25519 SHA256:abc", "ssh://git@git.example.com:2222/"] {
        assert!(ended.stderr.contains(words), "{words:?} is not in {}", ended.stderr);
    }
    let known = create("github.com");
    assert!(known.stderr.contains("Deploy keys") && !known.stderr.contains("Bitbucket"), "{}", known.stderr);
    assert_eq!(
        sent(&server, "POST /v3/git-credentials"),
        json!({"name": "d2", "kind": "deploy_key", "host": "git.example.com:2222"})
    );
}

#[test]
fn credentials_are_listed_shown_changed_and_removed() {
    let server = platform();
    let user = User::of(&server);
    let listed = user.run(&["git-credentials", "list"]);
    assert_eq!(
        listed.stdout,
        "NAME    KIND   HOST             USER  LAST USED  APPS\n\
         team    token  git.example.com  bot   never      1\n\
         deploy  key    git.example.com  -     never      1\n"
    );
    let shown = user.run(&["git-credentials", "show", "deploy"]);
    for row in [
        format!("public key  {PUBLIC}\n"),
        "host key    ssh-ed25519 SHA256:abc\n".into(),
        "used by     web\n".into(),
    ] {
        assert!(shown.stdout.contains(&row), "{row:?} is not in {}", shown.stdout);
    }
    let update = ["git-credentials", "update", "team", "--token-stdin"];
    assert_eq!(user.run_with(&update, "canary-token").code, 0);
    assert_eq!(sent(&server, "PATCH /v3/git-credentials/team-id"), json!({"secret": "canary-token"}));
    let of_key = user.run_with(&["git-credentials", "update", "deploy", "--token-stdin"], "canary-token");
    assert!(of_key.code == 2 && of_key.stderr.contains("is a deploy key"), "{}", of_key.stderr);

    assert_eq!(user.run(&["git-credentials", "delete", "team"]).code, 2);
    let refused = user.run(&["git-credentials", "delete", "team", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("\n  Shop\n"), "{}", refused.stderr);
    let forced = user.run(&["git-credentials", "delete", "team", "--yes", "--force"]);
    assert_eq!((forced.code, forced.stdout.as_str()), (0, "team is removed\n"));
    assert_eq!(user.run(&["git-credentials", "show", "nope"]).code, 1);
}
