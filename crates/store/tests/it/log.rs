//! The log of a deployment.

use model::{DeploymentId, Timestamp};
use store::{DeploymentLogQuery, StoreError};

use crate::support::Install;

#[tokio::test]
async fn a_line_has_an_end() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let deployment = install.enqueue(&shop).await;
    let (fits, long, odd) = ("x".repeat(4096), "x".repeat(4097), format!("x{}", "è".repeat(5000)));
    for text in [&fits, &long, &odd] {
        install.ours().append_deployment_log(deployment.id, "INFO", text).await.unwrap();
    }

    let query = DeploymentLogQuery { from: None, to: None, text: None, limit: 10 };
    let lines = install.ours().deployment_log(shop.id, deployment.id, &query).await.unwrap();
    assert_eq!(lines[0].text, fits);
    for (line, given) in lines[1..].iter().zip([long, odd]) {
        let kept = line.text.strip_suffix('…').expect("it is said that something is missing");
        assert!(given.starts_with(kept) && (4090..=4096).contains(&line.text.len()), "{}", line.text.len());
    }
}

#[tokio::test]
async fn many_lines_come_at_once_and_the_oldest_of_too_many_go() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let (chatty, quiet) = (install.enqueue(&shop).await, install.add_app("other").await);
    let quiet = install.enqueue(&quiet).await;
    let moment = |second: i64| Timestamp::from_second(second).unwrap();
    install
        .ours()
        .append_deployment_lines(quiet.id, vec![(moment(1), "INFO", "x".to_owned())])
        .await
        .unwrap();
    for batch in 0..6 {
        let line = |number| (moment(number), "WARN", format!("line {number}"));
        let lines = (batch * 1000..(batch + 1) * 1000).map(line).collect();
        install.ours().append_deployment_lines(chatty.id, lines).await.unwrap();
    }
    let long = vec![(moment(6000), "INFO", "x".repeat(5000))];
    install.ours().append_deployment_lines(chatty.id, long).await.unwrap();

    let query = DeploymentLogQuery { from: None, to: None, text: None, limit: 10_000 };
    let lines = install.ours().deployment_log(shop.id, chatty.id, &query).await.unwrap();
    assert_eq!(lines.len(), 5000);
    assert_eq!((lines[0].at, lines[0].severity.as_str()), (moment(1001), "WARN"));
    assert_eq!(lines[0].text, "line 1001");
    assert!(lines[4999].text.len() <= 4096);
    let others = install.ours().deployment_log(quiet.app, quiet.id, &query).await.unwrap();
    assert_eq!(others.len(), 1, "each deployment has its own");

    let nobody = install.ours().append_deployment_lines(DeploymentId::new(), Vec::new()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound)));
    let theirs = install.another_company().append_deployment_lines(chatty.id, Vec::new()).await;
    assert!(matches!(theirs, Err(StoreError::NotFound)));
}
