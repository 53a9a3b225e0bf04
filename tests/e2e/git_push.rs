//! Deploy on push: what a Git server sends becomes a new release while people use the application.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::git::Repository;

use crate::census;
use crate::git_lab::{Lab, SHOP};
use crate::harness::{Installation, PATIENCE, can_run, eventually, rows};
use crate::load::Load;

/// Requests a second.
const RATE: u32 = 100;

#[test]
fn a_push_becomes_a_release_under_load_and_fails_no_request() {
    if !can_run() {
        return;
    }
    let lab = Lab::start();
    let shop = lab.shop("first");
    let darsena = lab.installation();
    darsena.run_ok(&["deploy", "shop", "--git", &lab.url(), "--branch", "main"]);
    let hook = Webhook::enable(&darsena, &lab);

    let load = Load::start(darsena.http, &["shop"], RATE);
    let second = lab.say(&shop, "second");
    assert_eq!(hook.push(&shop, &second, "main", &["Dockerfile"]), 2);
    eventually("the push serves", || darsena.get("shop.localhost", "/").1.contains("second"));
    eventually("its deployment is over", || newest(&darsena)["status"] == "success");
    load.stop().assert_flawless();

    let deployment = newest(&darsena);
    assert_eq!(
        [
            &deployment["trigger"],
            &deployment["commit_sha"],
            &deployment["branch"],
            &deployment["author_login"]
        ],
        [&json!("AUTO_DEPLOY_ON_PUSH"), &json!(second), &json!("main"), &json!("Ada Lovelace")]
    );
    assert_eq!(deployment["commit_message"], "Say second\n\nBecause of a test.");

    // Sent again, of another branch, signed by somebody else: no deployment.
    assert_eq!(hook.push(&shop, &second, "main", &["Dockerfile"]), 2);
    shop.branch("next").unwrap();
    let next = lab.say(&shop, "next");
    assert_eq!(hook.push(&shop, &next, "next", &["Dockerfile"]), 2);
    shop.switch("main").unwrap();
    let third = lab.say(&shop, "third");
    let forged = Webhook { secret: "guessed".to_owned(), ..hook };
    assert_eq!(forged.push(&shop, &third, "main", &["Dockerfile"]), 4);
    assert_eq!(count(&darsena), 2);
    assert!(darsena.get("shop.localhost", "/").1.contains("second"));
    let left = census::wait_for(&darsena, 1);
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn a_push_counts_when_it_changes_what_is_built() {
    if !can_run() {
        return;
    }
    let lab = Lab::start();
    let shop = lab.shop("first");
    let darsena = lab.installation();
    darsena.run_ok(&["deploy", "shop", "--git", &lab.url(), "--branch", "main"]);
    let hook = Webhook::enable(&darsena, &lab);
    darsena.run_ok(&["apps", "update", "shop", "--only-path", "src/**", "--only-path", "Dockerfile"]);

    let words = |shop: &Repository| shop.commit(&[("README.md", "words")], "words").unwrap();
    assert_eq!(hook.push(&shop, &words(&shop), "main", &["README.md"]), 2);
    assert_eq!(count(&darsena), 1);
    let code = shop.commit(&[("src/deep/code", "x")], "code").unwrap();
    assert_eq!(hook.push(&shop, &code, "main", &["src/deep/code", "README.md"]), 2);
    assert_eq!(count(&darsena), 2);
    eventually("it is deployed", || newest(&darsena)["status"] == "success");
    assert_eq!(newest(&darsena)["commit_sha"], code.as_str());

    darsena.run_ok(&["apps", "update", "shop", "--any-path", "--no-auto-deploy"]);
    let third = lab.say(&shop, "third");
    assert_eq!(hook.push(&shop, &third, "main", &["Dockerfile"]), 2);
    assert_eq!(count(&darsena), 2, "pushes deploy no more");
}

/// The webhook of `shop` as GitHub knows it.
struct Webhook {
    api: std::net::SocketAddr,
    path: String,
    secret: String,
    clone_url: String,
}

impl Webhook {
    fn enable(darsena: &Installation, lab: &Lab) -> Self {
        let made = darsena.json(&["webhook", "enable", "shop"]);
        darsena.run_ok(&["apps", "update", "shop", "--auto-deploy"]);
        let url = made["url"].as_str().unwrap();
        let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).unwrap().1;
        Self {
            api: darsena.api,
            path: format!("/{path}"),
            secret: made["secret"].as_str().unwrap().to_owned(),
            clone_url: lab.server.url(SHOP),
        }
    }

    /// Tells of a push, signed as GitHub signs. Gives the first digit of the answer's status.
    fn push(&self, shop: &Repository, commit: &str, branch: &str, changed: &[&str]) -> u16 {
        let before = shop.git(&["rev-parse", &format!("{commit}^")]).unwrap();
        let of_commit = json!({
            "id": commit, "message": "as pushed", "author": {"name": "Ada Lovelace", "username": "ada"},
            "added": [], "removed": [], "modified": changed
        });
        let body = json!({
            "ref": format!("refs/heads/{branch}"), "before": before, "after": commit, "deleted": false, "forced": false,
            "repository": {"full_name": SHOP, "clone_url": self.clone_url},
            "head_commit": of_commit, "commits": [of_commit]
        })
        .to_string();
        let (path, length) = (&self.path, body.len());
        let signature = hex(&hmac(self.secret.as_bytes(), body.as_bytes()));
        let mut stream = TcpStream::connect(self.api).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: darsena\r\nconnection: close\r\ncontent-type: application/json\r\n\
             x-github-event: push\r\nx-github-delivery: {commit}\r\nx-hub-signature-256: sha256={signature}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        status.unwrap_or_else(|| panic!("no answer: {answer}")) / 100
    }
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let keyed = |pad: u8, rest: &[u8]| {
        let start: Vec<u8> = block.iter().map(|byte| byte ^ pad).collect();
        Sha256::new().chain_update(start).chain_update(rest).finalize().to_vec()
    };
    keyed(0x5c, &keyed(0x36, text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn newest(darsena: &Installation) -> Value {
    rows(&darsena.json(&["deployments", "list", "shop"])).remove(0)
}

fn count(darsena: &Installation) -> usize {
    rows(&darsena.json(&["deployments", "list", "shop"])).len()
}

#[test]
fn a_signature_is_what_its_specification_says() {
    // RFC 4231, test case 2.
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hex(&hmac(b"Jefe", b"what do ya want for nothing?")), expected);
}
