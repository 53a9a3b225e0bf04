//! Watching a deployment to its end.

mod bars;
mod build_log;
mod narrator;

use std::time::{Duration, Instant};

use client::Client;
use wire::Deployment;

use crate::failure::Failure;
use crate::output::{Course, Output};
use bars::Bars;
use build_log::{BuildLog, is_building};
use narrator::Narrator;

/// How long a server may be away, as when it is restarted, before the watching ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until the deployment is final, and shows its course. Gives the final record, whatever its status.
pub async fn follow(
    client: &Client,
    name: &str,
    deployment: Deployment,
    output: &Output,
) -> Result<Deployment, Failure> {
    let application = deployment.app_id.clone().unwrap_or_default();
    let id = deployment.id.clone();
    tokio::select! {
        final_record = watch(client, &application, deployment, output) => final_record,
        _ = tokio::signal::ctrl_c() => Err(Failure::new("no longer watching; the deployment goes on")
            .hint(format!("see `darsena deployments show {name} {id}`, or stop it with `darsena deployments cancel {name} {id}`"))),
    }
}

async fn watch(
    client: &Client,
    application: &str,
    mut deployment: Deployment,
    output: &Output,
) -> Result<Deployment, Failure> {
    let mut view = View::new(output);
    let began = Instant::now();
    let mut answered = began;
    loop {
        view.tell(client, application, &deployment).await;
        if deployment.status.is_some_and(|status| status.is_final()) {
            return Ok(deployment);
        }
        tokio::time::sleep(pause(began.elapsed())).await;
        view.look(client, application, &deployment.id).await;
        match client.deployment(application, &deployment.id).await {
            Ok(newer) => {
                answered = Instant::now();
                deployment = newer;
            }
            Err(error) if error.is_passing() && answered.elapsed() < PATIENCE => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A fresh deployment changes fast; an image of gigabytes does not.
fn pause(elapsed: Duration) -> Duration {
    Duration::from_millis(if elapsed < Duration::from_secs(10) { 100 } else { 250 })
}

struct View<'a> {
    form: Form<'a>,
    log: BuildLog,
}

enum Form<'a> {
    Bars(Bars),
    Lines(Narrator, &'a Output),
    Silent,
}

impl<'a> View<'a> {
    fn new(output: &'a Output) -> Self {
        let form = match output.course() {
            Course::Bars => Form::Bars(Bars::new()),
            Course::Lines => Form::Lines(Narrator::default(), output),
            Course::Silent => Form::Silent,
        };
        Self { form, log: BuildLog::default() }
    }

    /// Before the next state is asked for.
    async fn look(&mut self, client: &Client, application: &str, deployment: &str) {
        if !matches!(self.form, Form::Silent) {
            self.log.look(client, application, deployment).await;
        }
    }

    /// What is new: the lines of a build stand between its beginning and whatever comes after it.
    async fn tell(&mut self, client: &Client, application: &str, deployment: &Deployment) {
        if matches!(self.form, Form::Silent) {
            return;
        }
        let lines = self.log.news(client, application, deployment).await;
        if is_building(deployment) {
            self.show(deployment);
            self.show_lines(&lines);
        } else {
            self.show_lines(&lines);
            self.show(deployment);
        }
    }

    fn show(&mut self, deployment: &Deployment) {
        match &mut self.form {
            Form::Bars(bars) => bars.show(deployment),
            Form::Lines(narrator, output) => {
                for line in narrator.lines(deployment) {
                    // Whoever stopped reading still gets the right exit code.
                    let _ = output.line(&line);
                }
            }
            Form::Silent => {}
        }
    }

    fn show_lines(&mut self, lines: &[String]) {
        match &mut self.form {
            Form::Bars(bars) => bars.show_lines(lines),
            Form::Lines(_, output) => {
                for line in lines {
                    let _ = output.line(&format!("  {line}"));
                }
            }
            Form::Silent => {}
        }
    }
}
