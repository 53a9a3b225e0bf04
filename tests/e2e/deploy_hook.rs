//! Deploying from CI in one call: the secret address of an application, with the commit or the tag to deploy.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::git_lab::Lab;
use crate::harness::{Installation, PATIENCE, can_run, eventually, rows};

#[test]
fn a_call_deploys_the_commit_or_the_tag_that_it_names() {
    if !can_run() {
        return;
    }
    let lab = Lab::start();
    let shop = lab.shop("first");
    let first = shop.head().unwrap();
    lab.say(&shop, "second");
    let darsena = lab.installation();
    darsena.run_ok(&["deploy", "built", "--git", &lab.url()]);
    let image = lab.registry.push_hello("demo/ready:1", &[("HELLO_TEXT", "one")]);
    lab.registry.push_hello("demo/ready:2", &[("HELLO_TEXT", "two")]);
    darsena.run_ok(&["deploy", "ready", "--image", &image]);

    for (app, call, words, field, expected) in [
        ("built", format!("commit={first}"), "first", "commit_sha", first.as_str()),
        ("built", String::new(), "second", "branch", "main"),
        ("ready", "tag=2".to_owned(), "two", "trigger", "DEPLOY_HOOK"),
        ("ready", String::new(), "one", "trigger", "DEPLOY_HOOK"),
    ] {
        let path = hook(&darsena, app, "enable");
        let (status, answer) = post(&darsena, &path, &call);
        assert_eq!(status, 200, "{answer}");
        let id = answer["deployment"]["id"].as_str().unwrap().to_owned();
        eventually("it is deployed", || deployment(&darsena, app, &id)["status"] == "success");
        assert!(darsena.get(&format!("{app}.localhost"), "/").1.contains(words), "{app} {call}");
        let deployment = deployment(&darsena, app, &id);
        assert_eq!((&deployment[field], &deployment["trigger"]), (&expected.into(), &"DEPLOY_HOOK".into()));
    }

    // A wish that does not fit is refused in words; another address is none.
    let path = hook(&darsena, "built", "show");
    assert_eq!(post(&darsena, &path, "commit=abc").0, 400);
    let newer = hook(&darsena, "built", "regenerate");
    assert_ne!(path, newer);
    for wrong in [path, format!("{newer}0"), newer.replace("/deploy/", "/deploy/0")] {
        assert_eq!(post(&darsena, &wrong, "").0, 404, "{wrong}");
    }
    darsena.run_ok(&["hooks", "disable", "built"]);
    assert_eq!(post(&darsena, &newer, "").0, 404);
    assert_eq!(rows(&darsena.json(&["deployments", "list", "built"])).len(), 3);
}

/// Path of the hook's address.
fn hook(darsena: &Installation, app: &str, word: &str) -> String {
    let url = darsena.json(&["hooks", word, app])["url"].as_str().unwrap().to_owned();
    let (_, path) = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).unwrap();
    format!("/{path}")
}

fn deployment(darsena: &Installation, app: &str, id: &str) -> Value {
    darsena.json(&["deployments", "show", app, id])
}

/// What `curl URL -d FORM` sends. Gives status and answer.
fn post(darsena: &Installation, path: &str, form: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(darsena.api).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = form.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: darsena\r\nconnection: close\r\ncontent-length: {length}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}
