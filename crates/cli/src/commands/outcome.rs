//! From a deployment that was started to its last word.

use std::time::{Duration, Instant};

use client::{Client, NoAnswer, reach};
use serde_json::json;
use wire::*;

use crate::failure::Failure;
use crate::follow::follow;
use crate::output::Output;

/// How long the URL may take to answer once the server said "deployed".
const ANSWER: Duration = Duration::from_secs(5);

/// The application that is deployed.
pub struct Deployed<'a> {
    pub application: &'a str,
    pub name: &'a str,
}

/// Watches to the end, asks the URL, and prints it as the last line. Fails unless it answers.
pub async fn wait(
    client: &Client,
    deployed: Deployed<'_>,
    deployment: Deployment,
    output: &Output,
) -> Result<(), Failure> {
    let deployment = follow(client, deployed.name, deployment, output).await?;
    let application = client.application(deployed.application).await?;
    let success = deployment.status == Some(DeploymentStatus::Success);
    let url = application.url.as_deref().filter(|_| success);
    let answer = match url {
        Some(url) => ask(url).await,
        None => Ok(()),
    };
    if output.json {
        output.json(&json!({"app": application, "deployment": deployment, "url": url}))?;
    }
    if !success {
        return Err(failed(deployed.name, &application, &deployment));
    }
    if let Err(no_answer) = answer {
        return Err(Failure::new(format!("{} is deployed, but {no_answer}", deployed.name))
            .hint(unanswered(&no_answer)));
    }
    match url {
        Some(url) if !output.json => output.line(url),
        Some(_) => Ok(()),
        None => {
            output.note(&format!("{} is deployed; it has no URL", deployed.name));
            Ok(())
        }
    }
}

/// One answer of the application is enough. A listener that is being set up gets a few more chances.
async fn ask(url: &str) -> Result<(), NoAnswer> {
    let began = Instant::now();
    loop {
        let left = ANSWER.saturating_sub(began.elapsed());
        match reach(url, left.max(Duration::from_secs(1))).await {
            Ok(_) => return Ok(()),
            Err(no_answer) if began.elapsed() >= ANSWER => return Err(no_answer),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn unanswered(no_answer: &NoAnswer) -> &'static str {
    match no_answer {
        NoAnswer::Ingress { .. } => "see `darsena logs`; the application may have ended since",
        NoAnswer::Silent { .. } | NoAnswer::Address { .. } => {
            "check that this machine reaches the address that `darsena serve --http` listens on"
        }
    }
}

fn failed(name: &str, application: &Application, deployment: &Deployment) -> Failure {
    let still = application
        .serving_deployment_id
        .as_ref()
        .filter(|serving| **serving != deployment.id)
        .map(|_| format!("the version of {name} that was deployed before still serves"));
    match (&deployment.failure, deployment.status) {
        (_, Some(DeploymentStatus::Skipped)) => {
            Failure::new(format!("deploying {name} was skipped")).hint("a newer deployment took its place")
        }
        (_, Some(DeploymentStatus::Cancelled)) => {
            Failure::new(format!("deploying {name} was cancelled")).details(still)
        }
        (Some(failure), _) => {
            let told = Failure::new(format!("deploying {name} failed: {}", failure.message));
            let told = match &failure.hint {
                Some(hint) => told.hint(hint),
                None => told,
            };
            told.details(details(failure)).details(still)
        }
        (None, _) => Failure::new(format!("deploying {name} failed, and the server gave no cause"))
            .hint(format!("see `darsena logs {name} --deployment {}`", deployment.id))
            .details(still),
    }
}

/// Code, exit code and last log lines of a failure, one a line.
pub fn details(failure: &DeploymentFailure) -> Vec<String> {
    let mut lines = vec![format!("cause: {} (during {})", failure.code, failure.during)];
    lines.extend(failure.exit_code.map(|code| format!("exit code: {code}{}", signal(code))));
    if !failure.log_tail.is_empty() {
        lines.push("last log lines:".to_owned());
        lines.extend(failure.log_tail.iter().map(|line| format!("  | {line}")));
    }
    lines
}

/// Names the signals that people meet.
fn signal(code: i32) -> &'static str {
    match code {
        134 => " (aborted, SIGABRT)",
        137 => " (killed, SIGKILL)",
        139 => " (crashed, SIGSEGV)",
        143 => " (stopped, SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_cause_exit_code_and_log() {
        let failure = DeploymentFailure {
            during: "start".into(),
            code: "exited_early".into(),
            message: "it ended".into(),
            hint: None,
            exit_code: Some(137),
            log_tail: vec!["boom".into()],
        };
        assert_eq!(
            details(&failure),
            [
                "cause: exited_early (during start)",
                "exit code: 137 (killed, SIGKILL)",
                "last log lines:",
                "  | boom"
            ]
        );
    }
}
