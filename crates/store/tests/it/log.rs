//! The log of a deployment.

use store::DeploymentLogQuery;

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
