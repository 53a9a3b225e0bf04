//! Logs of an application and of a deployment: bare arrays, oldest line first.

use model::Timestamp;
use store::DeploymentLogQuery;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::platform::LogQuery;
use crate::routes::{applications, deployments};
use crate::rules::log;

pub async fn runtime(call: Call) -> Result<Answer, ApiError> {
    let app = applications::find(&call).await?;
    let wanted = log::Wanted::from_query(&call.query)?;
    let (from, to) = wanted.last_hour(Timestamp::now());
    let query = LogQuery { from, to, limit: wanted.lines_to_read() };
    let lines = call.state.platform.runtime_logs(call.company(), app.id, &query).await?;
    let shown = lines.iter().enumerate().map(|(index, line)| log::show_runtime(index, line)).collect();
    Answer::ok(&wanted.choose(shown))
}

pub async fn deployment(call: Call) -> Result<Answer, ApiError> {
    let record = deployments::find(&call).await?;
    let wanted = log::Wanted::from_query(&call.query)?;
    // Without a range the log is that of the whole deployment, however old.
    let limit = u32::try_from(wanted.lines_to_read()).unwrap_or(u32::MAX);
    let query = DeploymentLogQuery { from: wanted.from, to: wanted.to, text: None, limit };
    let lines = call.store().deployment_log(record.app, record.id, &query).await?;
    let shown = lines.iter().map(|line| log::show_deployment(record.id, line)).collect();
    Answer::ok(&wanted.choose(shown))
}
