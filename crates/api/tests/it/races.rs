//! P18 of the fault list at the API: wishes that exclude each other arrive at the same moment. Each gets an answer that
//! says how it went, none a fault of the server, and the records agree afterwards.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use model::deployment::State;
use serde_json::{Value, json};

use crate::server::{Reply, Server, new_app, text};

const ROUNDS: usize = 12;

/// What an answer said: its status, and the code of a refusal.
fn told(reply: &Reply) -> (u16, String) {
    (reply.status, reply.body["data"]["code"].as_str().unwrap_or_default().to_owned())
}

#[track_caller]
fn assert_one_of(reply: &Reply, allowed: &[(u16, &str)]) {
    let (status, code) = told(reply);
    assert!(allowed.contains(&(status, code.as_str())), "{status} {code}: {:#}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_deployments_at_once_the_newest_waits_and_the_others_are_skipped() {
    let server = Server::start().await;
    let apps = join_all((0..8).map(async |number| server.app(&format!("app-{number}")).await)).await;
    let paths: Vec<_> =
        apps.iter().map(|app| format!("/applications/{}/deployments", text(&app["id"]))).collect();
    let wishes = (0..6).flat_map(|_| &paths).map(|path| server.post(path, json!({})));
    for answer in join_all(wishes).await {
        answer.expect(200);
    }
    for path in &paths {
        let listed = server.get(path).await.expect(200);
        let mut states: Vec<_> =
            listed["data"].as_array().unwrap().iter().map(|row| row["status"].as_str().unwrap()).collect();
        assert_eq!(states.remove(0), "waiting");
        assert_eq!(states, ["skipped"; 5]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_deployed_or_removed() {
    let server = Server::start().await;
    for round in 0..ROUNDS {
        let id = text(&server.app(&format!("shop-{round}")).await["id"]);
        let app = format!("/applications/{id}");
        let (deployments, vars) = (format!("{app}/deployments"), format!("{app}/env-vars"));
        let suspend = format!("{app}/suspend");
        let (first, removed, second, var, suspended) = tokio::join!(
            server.post(&deployments, json!({})),
            server.call("DELETE", &app, None),
            server.post(&deployments, json!({"tag": "2"})),
            server.post(&vars, json!({"key": "A", "value": "b"})),
            server.call("POST", &suspend, None),
        );
        removed.expect(200);
        for answer in [first, second, suspended] {
            assert_one_of(&answer, &[(200, ""), (404, "not_found")]);
        }
        assert_one_of(&var, &[(201, ""), (404, "not_found")]);
        assert_eq!(server.get(&app).await.refused(404), "not_found");
        assert_eq!(server.post(&deployments, json!({})).await.refused(404), "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_deployed_is_not_removed() {
    let server = Server::start().await;
    let app = server.app("shop").await;
    let (id, company) = (text(&app["id"]), text(&app["company_id"]).parse().unwrap());
    let path = format!("/applications/{id}");
    let deployments = format!("{path}/deployments");
    let running = server.post(&deployments, json!({})).await.expect(200);
    let running_id = text(&running["id"]).parse().unwrap();
    server.platform.put(company, id.parse().unwrap(), running_id, State::Pulling).await;
    let (rollback, cancel) =
        (format!("{deployments}/rollback"), format!("{deployments}/{running_id}/cancel"));
    let (removed, another, back, cancelled) = tokio::join!(
        server.call("DELETE", &path, None),
        server.post(&deployments, json!({})),
        server.post(&rollback, json!({})),
        server.call("POST", &cancel, None),
    );
    assert_one_of(&removed, &[(200, ""), (400, "deployment_in_progress")]);
    assert_one_of(&another, &[(200, ""), (404, "not_found")]);
    assert_one_of(&back, &[(400, "no_successful_deployment"), (404, "not_found")]);
    assert_one_of(&cancelled, &[(200, ""), (404, "not_found")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_deploying_and_going_back_one_wins() {
    let server = Server::start().await;
    let app = server.app("shop").await;
    let (id, company) = (text(&app["id"]), text(&app["company_id"]).parse().unwrap());
    let path = format!("/applications/{id}/deployments");
    for _ in 0..3 {
        let done = server.post(&path, json!({})).await.expect(200);
        server.platform.finish(company, id.parse().unwrap(), text(&done["id"]).parse().unwrap()).await;
    }
    for _ in 0..ROUNDS {
        let answers = join_all((0..6).map(async |number| match number % 2 {
            0 => server.post(&path, json!({})).await,
            _ => server.post(&format!("{path}/rollback"), json!({})).await,
        }))
        .await;
        let started: BTreeSet<_> =
            answers.into_iter().map(|answer| text(&answer.expect(200)["id"])).collect();
        assert_eq!(started.len(), 6);
        let rows = server.get(&format!("{path}?limit=6")).await.expect(200);
        let waiting: Vec<&Value> =
            rows["data"].as_array().unwrap().iter().filter(|row| row["status"] == "waiting").collect();
        assert_eq!(waiting.len(), 1, "{rows:#}");
        assert!(started.contains(waiting[0]["id"].as_str().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_used_or_removed() {
    let server = Server::start().await;
    for round in 0..ROUNDS {
        let credential = text(&server.credential(&format!("team-{round}")).await["id"]);
        let mut body = new_app(&format!("shop-{round}"), "registry.test/shop:1");
        body["docker_registry_credential_id"] = json!(credential);
        let made = server.post("/applications", body.clone()).await.expect(201);
        let app = format!("/applications/{}", text(&made["id"]));
        body["display_name"] = json!(format!("other-{round}"));
        let path = format!("/docker-registries/{credential}");
        let forced = format!("{path}?force=true");
        let (deployments, verify) = (format!("{app}/deployments"), format!("{path}/verify"));
        let (deployed, kept, removed, another, verified) = tokio::join!(
            server.post(&deployments, json!({})),
            server.call("DELETE", &path, None),
            server.call("DELETE", &forced, None),
            server.post("/applications", body),
            server.call("POST", &verify, None),
        );
        deployed.expect(200);
        assert_one_of(&kept, &[(409, "docker_registry_in_use"), (404, "not_found")]);
        removed.expect(200);
        assert_one_of(&another, &[(201, ""), (400, "validation_failed")]);
        assert_one_of(&verified, &[(200, ""), (404, "not_found")]);
        let shown = server.get(&app).await.expect(200);
        assert_eq!(shown["docker_registry_credential_id"], Value::Null, "nobody uses what is gone");
    }
}
