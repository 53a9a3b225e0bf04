//! Projects: groups of applications.

use model::project::Project;
use model::{AppId, ProjectId};
use wire::{
    AddProjectService, ProjectDetail, ProjectInput, ProjectListItem, ProjectService, ProjectServiceType,
};

use crate::call::{Answer, Call, found};
use crate::check;
use crate::error::ApiError;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::permission::{Permission, Scope};

pub async fn list(call: Call) -> Result<Answer, ApiError> {
    let page = Page::from_query(&call.query, DEFAULT_LIMIT);
    let listed = match call.caller().powers.scope(Permission::ProjectRead) {
        Scope::All => call.store().projects(page.of_store()).await?,
        Scope::Only(ids) => {
            let mut seen = Vec::new();
            for id in ids {
                seen.extend(found(call.store().project(ProjectId::from_uuid(id)).await)?);
            }
            seen.sort_by(|one: &Project, other| one.name.cmp(&other.name));
            seen.dedup();
            page.cut(seen)
        }
    };
    Answer::ok(&page.envelope(&listed, show_row))
}

pub async fn create(call: Call) -> Result<Answer, ApiError> {
    let input: ProjectInput = call.json()?;
    check::name("display_name", &input.display_name, 1, 64)?;
    let project = call.store().create_project(&input.display_name).await?;
    Answer::created(project.id.uuid(), &show(&project))
}

pub async fn get(call: Call) -> Result<Answer, ApiError> {
    let project = find(&call).await?;
    let visible = call.caller().powers.scope(Permission::AppRead);
    let mut services = Vec::new();
    for app in call.store().project_apps(project.id).await? {
        if visible.covers(app.id.uuid()) {
            services.push(ProjectService {
                id: app.id.to_string(),
                name: app.name.to_string(),
                display_name: app.display_name,
                kind: ProjectServiceType::App,
            });
        }
    }
    Answer::ok(&ProjectDetail { project: show(&project), services })
}

pub async fn update(call: Call) -> Result<Answer, ApiError> {
    let project = find(&call).await?;
    let input: ProjectInput = call.json()?;
    check::name("display_name", &input.display_name, 1, 64)?;
    let project = call.store().rename_project(project.id, &input.display_name).await?;
    Answer::ok(&show(&project))
}

pub async fn delete(call: Call) -> Result<Answer, ApiError> {
    let _turn = call.turn().await;
    call.store().delete_project(id(&call)).await?;
    Answer::message("The project was removed. Its services stay.")
}

pub async fn add_service(call: Call) -> Result<Answer, ApiError> {
    let project = find(&call).await?;
    let input: AddProjectService = call.json()?;
    let app = changeable_app(
        &call,
        input.service_type,
        AppId::from_uuid(check::id("service_id", &input.service_id)?),
    )?;
    let _turn = call.turn().await;
    call.store().add_to_project(project.id, app).await?;
    Answer::message("The service is in the project now.")
}

pub async fn remove_service(call: Call) -> Result<Answer, ApiError> {
    let project = find(&call).await?;
    let kind =
        call.query.text("service_type").ok_or_else(|| ApiError::invalid("service_type", "it is missing"))?;
    let kind = serde_json::from_value(kind.into()).map_err(|_| {
        ApiError::invalid("service_type", "it must be app, database, pipeline or object-storage")
    })?;
    let app = changeable_app(&call, kind, AppId::from_uuid(call.path.get("service_id")))?;
    let _turn = call.turn().await;
    call.store().remove_from_project(project.id, app).await?;
    Answer::message("The service is in no project now.")
}

/// The application to move: moving it changes it, so the key needs the permission for it as well.
fn changeable_app(call: &Call, kind: ProjectServiceType, app: AppId) -> Result<AppId, ApiError> {
    match kind {
        ProjectServiceType::App => {}
        ProjectServiceType::LoadBalancer => {
            return Err(ApiError::invalid(
                "service_type",
                "it must be app, database, pipeline or object-storage",
            ));
        }
        // There are no such services yet, so none has this id.
        _ => return Err(ApiError::not_found("service")),
    }
    match call.caller().powers.scope(Permission::AppUpdate) {
        scope if scope.covers(app.uuid()) => Ok(app),
        Scope::Only(ids) if ids.is_empty() => {
            Err(ApiError::forbidden("the permission APP:UPDATE for the service"))
        }
        _ => Err(ApiError::not_found("service")),
    }
}

fn id(call: &Call) -> ProjectId {
    ProjectId::from_uuid(call.path.get("id"))
}

async fn find(call: &Call) -> Result<Project, ApiError> {
    Ok(call.store().project(id(call)).await?)
}

fn show(project: &Project) -> wire::Project {
    wire::Project {
        id: project.id.to_string(),
        name: project.name.clone(),
        display_name: project.display_name.clone(),
        company_id: project.company.to_string(),
        created_at: project.created_at.to_string(),
        updated_at: project.updated_at.to_string(),
    }
}

fn show_row(project: &Project) -> ProjectListItem {
    ProjectListItem {
        id: project.id.to_string(),
        name: project.name.clone(),
        display_name: project.display_name.clone(),
        created_at: project.created_at.to_string(),
        updated_at: project.updated_at.to_string(),
    }
}
