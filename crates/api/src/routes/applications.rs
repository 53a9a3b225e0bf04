//! Applications.

use std::cmp::Reverse;
use std::collections::HashSet;

use model::{App, AppId, ProjectId, Source, Timestamp};
use store::StoreError;
use wire::{CreateApplication, UpdateApplication};

use crate::call::{Answer, Call, found};
use crate::check;
use crate::error::ApiError;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::permission::{Permission, Scope};
use crate::routes::images;
use crate::routes::resources::CLUSTER;
use crate::rules::application::{self, Around};
use crate::rules::process;
use crate::rules::source::{self, Kind};

pub mod sources;

pub async fn list(call: Call) -> Result<Answer, ApiError> {
    let page = Page::from_query(&call.query, DEFAULT_LIMIT);
    let listed = match call.caller().powers.scope(Permission::AppRead) {
        Scope::All => call.store().apps(page.of_store()).await?,
        Scope::Only(ids) => {
            let mut seen = Vec::new();
            for id in ids {
                seen.extend(found(call.store().app(AppId::from_uuid(id)).await)?);
            }
            seen.sort_by_key(|record: &App| Reverse((record.created_at, record.id)));
            seen.dedup();
            page.cut(seen)
        }
    };
    let mut hidden = HashSet::new();
    for app in &listed.rows {
        if !call.store().web_process(app.id).await?.is_ingress_enabled {
            hidden.insert(app.id);
        }
    }
    let url = |app: &App| (!hidden.contains(&app.id)).then(|| call.state.platform.url(&app.name));
    let show = |app: &App| application::show_row(app, url(app));
    Answer::ok(&page.envelope(&listed, show))
}

pub async fn create(call: Call) -> Result<Answer, ApiError> {
    let input: CreateApplication = call.json()?;
    check::name("display_name", &input.display_name, 2, 64)?;
    let name = application::system_name(&input.display_name)?;
    if check::id("cluster_id", &input.cluster_id)? != CLUSTER.uuid() {
        return Err(ApiError::invalid("cluster_id", "no such cluster; GET /resources/clusters lists them"));
    }
    let kind = source::kind(input.source)?;
    application::check_policy(input.image_policy)?;
    let project = project(&call, input.project_id.as_deref()).await?;
    let (_turn, source, kept) = match kind {
        Kind::Image => sources::new_image(&call, &input).await?,
        Kind::Git => sources::new_repository(&call, &input).await?,
    };
    let now = Timestamp::now();
    let app = App {
        id: AppId::new(),
        company: call.company(),
        name,
        display_name: input.display_name,
        project,
        source,
        kept,
        is_suspended: false,
        status: None,
        serving: None,
        created_by: Some(call.caller().key.id.to_string()),
        created_at: now,
        updated_at: now,
    };
    call.store().create_app(&app, &process::web(&app)).await.map_err(|error| explain(error, &app))?;
    Answer::created(app.id.uuid(), &application::show(&app, around(&call, &app).await?))
}

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    let app = find(&call).await?;
    Answer::ok(&application::show(&app, around(&call, &app).await?))
}

pub async fn update(call: Call) -> Result<Answer, ApiError> {
    let known = find(&call).await?;
    let input: UpdateApplication = call.json()?;
    let wanted = changed(&call, known.clone(), &input).await?;
    refuse_unusable_image(&call, &known, &wanted).await?;
    // The registry may have been slow: the change is made to the record as it is by now.
    let _turn = call.turn().await;
    let app = changed(&call, find(&call).await?, &input).await?;
    call.store().update_app(&app).await?;
    Answer::ok(&application::show(&app, around(&call, &app).await?))
}

/// The application with the change made, or why it cannot be made.
async fn changed(call: &Call, mut app: App, input: &UpdateApplication) -> Result<App, ApiError> {
    if let Some(display_name) = &input.display_name {
        check::name("display_name", display_name, 1, 64)?;
        app.display_name = display_name.clone();
    }
    let known = match app.source {
        Source::Image { .. } => Kind::Image,
        Source::Git(_) => Kind::Git,
    };
    let kind = input.source.map_or(Ok(known), source::kind)?;
    application::check_policy(input.image_policy)?;
    application::keep(&mut app.kept, input)?;
    app.source = match kind {
        Kind::Image => sources::changed_image(call, &mut app, input).await?,
        Kind::Git => sources::changed_repository(call, &mut app, input).await?,
    };
    app.updated_at = Timestamp::now();
    Ok(app)
}

/// Asks the registry about a new image; the one that the application has already is not looked at again.
async fn refuse_unusable_image(call: &Call, known: &App, wanted: &App) -> Result<(), ApiError> {
    let Source::Image { reference, credential } = &wanted.source else { return Ok(()) };
    if Some(reference.as_str()) == known.source.image_reference() {
        return Ok(());
    }
    images::refuse_unusable(&call.state, call.company(), &sources::checked_image(reference)?, *credential)
        .await
}

pub async fn delete(call: Call) -> Result<Answer, ApiError> {
    call.state.platform.delete_app(call.company(), id(&call)).await?;
    Answer::message("The application was removed.")
}

pub async fn activate(call: Call) -> Result<Answer, ApiError> {
    call.state.platform.activate(call.company(), id(&call)).await?;
    Answer::message("The application is starting.")
}

pub async fn suspend(call: Call) -> Result<Answer, ApiError> {
    call.state.platform.suspend(call.company(), id(&call)).await?;
    Answer::message("The application is suspended.")
}

/// The application of the path, in the caller's company.
pub async fn find(call: &Call) -> Result<App, ApiError> {
    Ok(call.store().app(id(call)).await?)
}

/// The id of the application in the path.
pub fn id(call: &Call) -> AppId {
    AppId::from_uuid(call.path.get("id"))
}

async fn around(call: &Call, app: &App) -> Result<Around, ApiError> {
    let (digest, commit) = match app.serving {
        Some(serving) => {
            let serving = call.store().deployment(app.id, serving).await?;
            (serving.digest, serving.git.and_then(|git| git.commit))
        }
        None => (None, None),
    };
    let conditions = call.state.platform.conditions(app.id);
    let is_public = call.store().web_process(app.id).await?.is_ingress_enabled;
    Ok(Around { url: is_public.then(|| call.state.platform.url(&app.name)), digest, commit, conditions })
}

fn explain(error: StoreError, app: &App) -> ApiError {
    match error {
        StoreError::NameTaken => {
            ApiError::bad_request("name_taken", format!("The name {} is taken.", app.name))
                .with_detail("Choose another display name; the address of an application is made from it.")
        }
        other => other.into(),
    }
}

/// A project of this company that the caller may put something into.
async fn project(call: &Call, text: Option<&str>) -> Result<Option<ProjectId>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let id = ProjectId::from_uuid(check::id("project_id", text)?);
    let is_visible = call.caller().powers.scope(Permission::ProjectUpdate).covers(id.uuid());
    match is_visible && found(call.store().project(id).await)?.is_some() {
        true => Ok(Some(id)),
        false => Err(ApiError::invalid("project_id", "there is no such project")),
    }
}
