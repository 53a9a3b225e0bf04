//! Applications: what creating and changing one means, and how one is shown.

use model::git::{Commit, GitSource, Recipe};
use model::image::Digest;
use model::{App, AppName, AppStatus, Kept, NameError, Source};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;
use wire::{
    Application, ApplicationListItem, ApplicationSource, ApplicationStatus, ApplicationType, BuildType,
    Buildpack, BuildpackInput, ImagePolicy, UpdateApplication,
};

use crate::check;
use crate::error::ApiError;
use crate::platform::InstanceCondition;
use crate::routes::resources::CLUSTER;
use crate::rules::{condition, source};

const ONE_WEEK_SECONDS: u64 = 604_800;

/// The system name that a display name stands for.
pub fn system_name(display_name: &str) -> Result<AppName, ApiError> {
    AppName::derive(display_name).map_err(|error| match error {
        NameError::Empty => ApiError::invalid(
            "display_name",
            "it needs a letter from a to z or a digit, because the application's address is made from those",
        ),
        other => ApiError::invalid("display_name", other),
    })
}

/// Refuses a policy that nothing would carry out.
pub fn check_policy(policy: Option<ImagePolicy>) -> Result<(), ApiError> {
    match policy {
        None | Some(ImagePolicy::ResolveOnDeploy) => Ok(()),
        Some(_) => Err(ApiError::invalid("image_policy", "only resolve_on_deploy works in this version")),
    }
}

/// Applies the settings that are kept and given back as they came. An image application does nothing with them; what a
/// Git source makes of them is in [`source::git`].
pub fn keep(kept: &mut Kept, input: &UpdateApplication) -> Result<(), ApiError> {
    check_kept(input)?;
    put(kept, "auto_deploy", input.auto_deploy);
    put(kept, "build_type", input.build_type);
    put(kept, "build_path", input.build_path.as_ref());
    put(kept, "build_cache_enabled", input.build_cache_enabled);
    put(kept, "dockerfile_path", input.dockerfile_path.as_ref());
    put(kept, "docker_context", input.docker_context.as_ref());
    put(kept, "pack_builder", input.pack_builder.as_ref());
    put(kept, "nixpacks_version", input.nixpacks_version.as_ref());
    put(kept, "default_branch", input.default_branch.as_ref());
    put(kept, "allow_deploy_paths", input.allow_deploy_paths.as_ref());
    put(kept, "ignore_deploy_paths", input.ignore_deploy_paths.as_ref());
    put(kept, "hibernation_enabled", input.hibernation_enabled);
    put(kept, "hibernate_after_seconds", input.hibernate_after_seconds);
    put(kept, "buildpacks", input.buildpacks.as_ref().map(|list| with_ids(list)));
    drop_foreign(kept);
    let paths = |name| get::<Vec<String>>(kept, name).unwrap_or_default();
    if !paths("allow_deploy_paths").is_empty() && !paths("ignore_deploy_paths").is_empty() {
        return Err(ApiError::invalid(
            "allow_deploy_paths",
            "it cannot be set together with ignore_deploy_paths",
        ));
    }
    Ok(())
}

/// Drops the settings that only another build type has: the Terraform provider plans them as null.
fn drop_foreign(kept: &mut Kept) {
    let build_type = get(kept, "build_type").unwrap_or(BuildType::Dockerfile);
    for (field, owner) in [
        ("dockerfile_path", BuildType::Dockerfile),
        ("docker_context", BuildType::Dockerfile),
        ("pack_builder", BuildType::Pack),
        ("nixpacks_version", BuildType::Nixpacks),
    ] {
        if owner != build_type {
            kept.remove(field);
        }
    }
}

fn check_kept(input: &UpdateApplication) -> Result<(), ApiError> {
    if input.default_branch.as_deref() == Some("") {
        return Err(ApiError::invalid("default_branch", "it cannot be empty"));
    }
    if let Some(seconds) = input.hibernate_after_seconds {
        check::range("hibernate_after_seconds", seconds, 1, ONE_WEEK_SECONDS)?;
    }
    for buildpack in input.buildpacks.iter().flatten() {
        check::range("buildpacks.order", buildpack.order, 0, 20)?;
        check::length("buildpacks.source", &buildpack.source, 0, 500)?;
    }
    Ok(())
}

fn with_ids(buildpacks: &[BuildpackInput]) -> Vec<Buildpack> {
    let with_id = |buildpack: &BuildpackInput| Buildpack {
        id: Uuid::now_v7().to_string(),
        order: buildpack.order,
        source: buildpack.source.clone(),
    };
    buildpacks.iter().map(with_id).collect()
}

fn put(kept: &mut Kept, field: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        kept.insert(field.to_owned(), json!(value).to_string());
    }
}

/// Notes what only a Git source has: the client's own words for it, where they say more than the source itself.
pub fn keep_git(kept: &mut Kept, input: &UpdateApplication) {
    if input.repo_url.is_some() {
        // The provider of the old address.
        kept.remove("git_type");
    }
    put(kept, "git_type", input.git_type);
    put(kept, "source", input.source);
}

/// Forgets what [`keep_git`] noted.
pub fn drop_git(kept: &mut Kept) {
    kept.remove("git_type");
    kept.remove("source");
}

/// A setting that is kept.
pub fn get<T: DeserializeOwned>(kept: &Kept, field: &str) -> Option<T> {
    serde_json::from_str(kept.get(field)?).ok()
}

/// What is shown of an application besides its own record.
pub struct Around {
    /// Where it answers; `None` when its web process is not public.
    pub url: Option<String>,
    /// Digest of what serves now.
    pub digest: Option<Digest>,
    /// The commit behind it, if it was built.
    pub commit: Option<Commit>,
    /// How its containers are.
    pub conditions: Vec<InstanceCondition>,
}

/// The full record.
pub fn show(app: &App, around: Around) -> Application {
    let (git, kept) = (app.source.git(), &app.kept);
    let credential = match &app.source {
        Source::Image { credential, .. } => *credential,
        Source::Git(git) => git.build.base_credential,
    };
    let given = git.and_then(|git| match &git.build.recipe {
        Recipe::Given(text) => Some(text.clone()),
        Recipe::Found | Recipe::Made => None,
    });
    let build_type = get(kept, "build_type").unwrap_or(BuildType::Dockerfile);
    // What is built has these whether or not a client set them.
    let effective = |field, default: &str, owner: Option<BuildType>| {
        let default =
            || git.filter(|_| owner.is_none_or(|owner| owner == build_type)).map(|_| default.to_owned());
        get(kept, field).or_else(default)
    };
    Application {
        id: app.id.to_string(),
        name: app.name.to_string(),
        display_name: app.display_name.clone(),
        status: app.status.map(show_status),
        kind: ApplicationType::App,
        source: show_source(app),
        is_suspended: app.is_suspended,
        company_id: Some(app.company.to_string()),
        project_id: app.project.map(|id| id.to_string()),
        namespace: Some(app.name.to_string()),
        cluster_id: Some(CLUSTER.to_string()),
        git_type: git.and_then(|git| get(kept, "git_type").or_else(|| source::provider(&git.url))),
        repo_url: git.map(|git| git.url.clone()),
        default_branch: get(kept, "default_branch"),
        docker_image: app.source.image_reference().map(str::to_owned),
        docker_image_digest: around.digest.map(String::from),
        docker_registry_credential_id: credential.map(|id| id.to_string()),
        image_policy: ImagePolicy::ResolveOnDeploy,
        auto_deploy: get(kept, "auto_deploy").unwrap_or(false),
        build_type,
        build_path: effective("build_path", ".", None),
        build_cache_enabled: get(kept, "build_cache_enabled").unwrap_or(git.is_some()),
        dockerfile_path: effective("dockerfile_path", "Dockerfile", Some(BuildType::Dockerfile)),
        docker_context: effective("docker_context", ".", Some(BuildType::Dockerfile)),
        pack_builder: get(kept, "pack_builder"),
        nixpacks_version: get(kept, "nixpacks_version"),
        buildpacks: get(kept, "buildpacks").unwrap_or_default(),
        allow_deploy_paths: get(kept, "allow_deploy_paths").unwrap_or_default(),
        ignore_deploy_paths: get(kept, "ignore_deploy_paths").unwrap_or_default(),
        hibernation_enabled: get(kept, "hibernation_enabled").unwrap_or(false),
        hibernate_after_seconds: get(kept, "hibernate_after_seconds"),
        wait_for_checks: false,
        created_by: app.created_by.clone(),
        created_at: app.created_at.to_string(),
        updated_at: app.updated_at.to_string(),
        url: around.url,
        condition: condition::show(&around.conditions),
        serving_deployment_id: app.serving.map(|id| id.to_string()),
        dockerfile_text: given,
        submodules_enabled: git.is_some_and(|git| git.build.with_submodules),
        lfs_enabled: git.is_some_and(|git| git.build.with_lfs),
        git_credential_id: git.and_then(|git| git.credential).map(|id| id.to_string()),
        serving_commit: around.commit.map(show_commit),
    }
}

/// A repository with a login is private; one without is what the client called it.
fn show_source(app: &App) -> ApplicationSource {
    let is_private = |git: &GitSource| {
        git.credential.is_some() || get(&app.kept, "source") == Some(ApplicationSource::PrivateGit)
    };
    match &app.source {
        Source::Image { .. } => ApplicationSource::DockerImage,
        Source::Git(git) if is_private(git) => ApplicationSource::PrivateGit,
        Source::Git(_) => ApplicationSource::PublicGit,
    }
}

/// A commit.
pub fn show_commit(commit: Commit) -> wire::Commit {
    wire::Commit { sha: commit.id, branch: commit.branch, message: commit.message, author: commit.author }
}

/// A row of the list.
pub fn show_row(app: &App, url: Option<String>) -> ApplicationListItem {
    ApplicationListItem {
        id: app.id.to_string(),
        name: app.name.to_string(),
        display_name: app.display_name.clone(),
        status: app.status.map(show_status),
        kind: ApplicationType::App,
        source: show_source(app),
        is_suspended: app.is_suspended,
        created_at: app.created_at.to_string(),
        updated_at: app.updated_at.to_string(),
        url,
        serving_deployment_id: app.serving.map(|id| id.to_string()),
    }
}

fn show_status(status: AppStatus) -> ApplicationStatus {
    match status {
        AppStatus::DeploymentInProgress => ApplicationStatus::DeploymentInProgress,
        AppStatus::DeploymentFailed => ApplicationStatus::DeploymentFailed,
        AppStatus::DeploymentSuccess => ApplicationStatus::DeploymentSuccess,
        AppStatus::DeploymentCancelled => ApplicationStatus::DeploymentCancelled,
        AppStatus::Deleting => ApplicationStatus::Deleting,
        AppStatus::AppDeletionFailed => ApplicationStatus::AppDeletionFailed,
    }
}
