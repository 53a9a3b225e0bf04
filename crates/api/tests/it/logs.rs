//! Runtime logs and deployment logs.

use model::Timestamp;
use model::log::Stream;
use serde_json::{Value, json};

use crate::server::{Server, text};

/// An application that serves, and its path.
async fn serving(server: &Server) -> (String, String) {
    let app = server.app("shop").await;
    let path = format!("/applications/{}", text(&app["id"]));
    let deployment = server.call("POST", &format!("{path}/deployments"), None).await.expect(200);
    let id = text(&deployment["id"]);
    let company = text(&app["company_id"]).parse().unwrap();
    server.platform.finish(company, text(&app["id"]).parse().unwrap(), id.parse().unwrap()).await;
    (path, id)
}

fn messages(lines: &Value) -> Vec<String> {
    lines.as_array().expect("a bare array").iter().map(|line| text(&line["message"])).collect()
}

#[tokio::test]
async fn the_newest_lines_come_oldest_first() {
    let server = Server::start().await;
    let (path, deployment) = serving(&server).await;
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    *server.platform.lines.lock().unwrap() = vec![
        (at("2026-02-22T15:30:00Z"), Stream::Stdout, "one".into()),
        (at("2026-02-22T15:30:01.5Z"), Stream::Stderr, "</script> two".into()),
        (at("2026-02-22T15:30:02Z"), Stream::Stdout, "three".into()),
    ];
    let range = "from=2026-02-22T15:00:00Z&to=2026-02-22T16:00:00Z";
    let all = server.get(&format!("{path}/runtime-logs?{range}")).await.expect(200);
    assert_eq!(messages(&all), ["one", "</script> two", "three"]);
    assert_eq!(all[1]["timestamp"], "2026-02-22 15:30:01.500");
    assert_eq!(all[1]["unix_timestamp"], 1_771_774_201_500_000_i64);
    assert_eq!((&all[1]["severity"], &all[1]["service"]), (&json!("ERROR"), &json!("APP_RUNTIME")));
    assert_eq!(all[1]["tags"]["deployment"], json!(deployment));

    let newest = server.get(&format!("{path}/runtime-logs?{range}&limit=2")).await.expect(200);
    assert_eq!(messages(&newest), ["</script> two", "three"]);
    let filter = "%5B%7B%22key%22:%22severity%22,%22operator%22:%22EQUALS%22,%22value%22:%22INFO%22%7D%5D";
    let filtered =
        server.get(&format!("{path}/runtime-logs?{range}&limit=1&filters={filter}")).await.expect(200);
    assert_eq!(messages(&filtered), ["three"]);
    let later =
        server.get(&format!("{path}/runtime-logs?from=2026-02-22T15:30:02Z&to=2026-02-22T16:00:00Z")).await;
    assert_eq!(messages(&later.expect(200)), ["three"]);
    assert!(
        messages(&server.get(&format!("{path}/runtime-logs")).await.expect(200)).is_empty(),
        "the last hour"
    );

    for bad in ["limit=0", "limit=5001", "from=yesterday", "filters=x"] {
        server.get(&format!("{path}/runtime-logs?{bad}")).await.expect(400);
    }
}

#[tokio::test]
async fn a_deployments_log_is_its_own_and_whole() {
    let server = Server::start().await;
    let (path, deployment) = serving(&server).await;
    let company = text(&server.get(&path).await.expect(200)["company_id"]).parse().unwrap();
    let rows = server.store.company(company);
    let id = deployment.parse().unwrap();
    for (severity, line) in [("INFO", "Pulling nginx."), ("ERROR", "The container ended with 3.")] {
        rows.append_deployment_log(id, severity, line).await.unwrap();
    }
    let logs = format!("{path}/deployments/{deployment}/logs");
    let all = server.get(&logs).await.expect(200);
    assert_eq!(messages(&all), ["Pulling nginx.", "The container ended with 3."]);
    assert_eq!((&all[1]["severity"], &all[1]["service"]), (&json!("ERROR"), &json!("APP_DEPLOYMENT")));
    let newest = server.get(&format!("{logs}?limit=1")).await.expect(200);
    assert_eq!(messages(&newest), ["The container ended with 3."]);
    let later = server.get(&format!("{logs}?from=2199-01-01T00:00:00Z")).await.expect(200);
    assert!(messages(&later).is_empty());
}
