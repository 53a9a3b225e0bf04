//! Processes of an application.

use model::{ProcessId, Timestamp};
use wire::UpdateProcess;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::routes::applications;
use crate::rules::process;

pub async fn list(call: Call) -> Result<Answer, ApiError> {
    let page = Page::from_query(&call.query, DEFAULT_LIMIT);
    let app = applications::find(&call).await?;
    let shown: Vec<_> =
        call.store().processes(app.id).await?.iter().map(process::show).collect::<Result<_, _>>()?;
    Answer::ok(&page.envelope(&page.cut(shown), Clone::clone))
}

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    Answer::ok(&process::show(&find(&call).await?)?)
}

pub async fn update(call: Call) -> Result<Answer, ApiError> {
    let _turn = call.turn().await;
    let mut record = find(&call).await?;
    let input: UpdateProcess = call.json()?;
    let is_exposure_given = process::is_exposure_given(&input);
    process::change(&mut record, input)?;
    record.updated_at = Timestamp::now();
    call.store().update_process(&record).await?;
    // Also when it is that way already: an earlier change may have been saved and not have reached the ingress.
    if is_exposure_given {
        call.state.platform.exposure_changed(call.company(), record.app).await?;
    }
    Answer::ok(&process::show(&record)?)
}

async fn find(call: &Call) -> Result<model::Process, ApiError> {
    let id = ProcessId::from_uuid(call.path.get("process_id"));
    Ok(call.store().process(applications::id(call), id).await?)
}
