//! The repository of an application and how it is built: the options of `deploy` and of `apps update`, and the change
//! they mean.

use std::fs::File;
use std::io::{self, Read};

use client::Client;
use wire::*;

use crate::failure::Failure;
use crate::find;

/// The longest Dockerfile that the API takes, in bytes.
const LONGEST: u64 = 65_536;

/// What is left out stays as it is.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Repository")]
pub struct Repository {
    /// Git repository to build: https://HOST/PATH, ssh://git@HOST/PATH or git@HOST:PATH; left out: the one it has.
    #[arg(long, value_name = "URL")]
    pub git: Option<String>,
    /// Name or id of the Git credential to reach it with; left out: the one it has, or none.
    #[arg(long, value_name = "NAME", conflicts_with = "no_git_credential")]
    pub git_credential: Option<String>,
    /// Reach the repository without a login.
    #[arg(long)]
    pub no_git_credential: bool,
    /// Where the Dockerfile comes from; left out: the repository's, and one is made when it has none.
    #[arg(long, value_enum)]
    pub build_type: Option<BuildWord>,
    /// Folder of the repository to build; . is the repository itself.
    #[arg(long, value_name = "DIR")]
    pub path: Option<String>,
    /// Dockerfile, relative to that folder.
    #[arg(long, value_name = "FILE")]
    pub dockerfile: Option<String>,
    /// What COPY and ADD see, relative to that folder.
    #[arg(long, value_name = "DIR")]
    pub context: Option<String>,
    /// File of this machine, or - for stdin, with the Dockerfile to build with instead of one of the repository.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dockerfile", "build_type"])]
    pub dockerfile_text: Option<String>,
    /// Keep neither layers nor cache mounts from build to build.
    #[arg(long, conflicts_with = "cache")]
    pub no_cache: bool,
    /// Keep layers and cache mounts again.
    #[arg(long)]
    pub cache: bool,
    /// Fetch the repository's submodules, too.
    #[arg(long, conflicts_with = "no_submodules")]
    pub submodules: bool,
    /// Fetch no submodules any more.
    #[arg(long)]
    pub no_submodules: bool,
    /// Fetch the files that Git LFS keeps elsewhere, too.
    #[arg(long, conflicts_with = "no_lfs")]
    pub lfs: bool,
    /// Fetch nothing from Git LFS any more.
    #[arg(long)]
    pub no_lfs: bool,
}

/// The words of `--build-type`.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildWord {
    /// The Dockerfile of the repository; one is made when it has none.
    Dockerfile,
    /// One is made from what the repository holds, also when it has one.
    Made,
}

impl BuildWord {
    /// What the API calls it.
    pub fn kind(self) -> BuildType {
        match self {
            BuildWord::Dockerfile => BuildType::Dockerfile,
            BuildWord::Made => BuildType::Made,
        }
    }
}

/// The options with everything looked up and read that they name; nothing was changed for it.
#[derive(Debug, Default)]
pub struct Wanted {
    options: Repository,
    credential: Option<GitCredential>,
    dockerfile_text: Option<String>,
}

impl Repository {
    /// Whether anything was given.
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// Looks up and reads what the options name.
    pub async fn read(&self, client: &Client) -> Result<Wanted, Failure> {
        let dockerfile_text = self.dockerfile_text.as_deref().map(read_text).transpose()?;
        let credential = match &self.git_credential {
            Some(text) => Some(find::git_credential(client, text).await?),
            None => None,
        };
        Ok(Wanted { options: self.clone(), credential, dockerfile_text })
    }
}

impl Wanted {
    /// For an application that is to be made. Fields of other sources are left as they are.
    pub fn fill(self, request: &mut CreateApplication) {
        let Repository { git, path, dockerfile, context, .. } = self.options.clone();
        request.source = match self.credential {
            Some(_) => ApplicationSource::PrivateGit,
            None => ApplicationSource::PublicGit,
        };
        request.repo_url = git;
        request.build_type = self.options.build_type.map(BuildWord::kind);
        request.build_path = path;
        request.dockerfile_path = dockerfile;
        request.docker_context = context;
        request.build_cache_enabled = switch(self.options.cache, self.options.no_cache);
        request.submodules_enabled = switch(self.options.submodules, self.options.no_submodules);
        request.lfs_enabled = switch(self.options.lfs, self.options.no_lfs);
        request.dockerfile_text = self.dockerfile_text;
        request.git_credential_id = self.credential.map(|credential| credential.id);
    }

    /// What differs from what the application has.
    pub fn change(&self, has: &Application) -> UpdateApplication {
        let options = &self.options;
        let text = |wanted: &Option<String>, has: &Option<String>| wanted.clone().filter(|_| wanted != has);
        UpdateApplication {
            repo_url: text(&options.git, &has.repo_url),
            git_credential_id: self.other_credential(has),
            build_type: self.kind().filter(|kind| *kind != has.build_type),
            build_path: text(&options.path, &has.build_path),
            dockerfile_path: text(&options.dockerfile, &has.dockerfile_path),
            docker_context: text(&options.context, &has.docker_context),
            dockerfile_text: self.other_text(has),
            build_cache_enabled: differing(switch(options.cache, options.no_cache), has.build_cache_enabled),
            submodules_enabled: differing(
                switch(options.submodules, options.no_submodules),
                has.submodules_enabled,
            ),
            lfs_enabled: differing(switch(options.lfs, options.no_lfs), has.lfs_enabled),
            ..Default::default()
        }
    }

    /// A Dockerfile that is named or given is also the one to use.
    fn kind(&self) -> Option<BuildType> {
        let is_named = self.options.dockerfile.is_some() || self.dockerfile_text.is_some();
        self.options.build_type.map(BuildWord::kind).or(is_named.then_some(BuildType::Dockerfile))
    }

    /// A text that was given before would win over whatever is named now.
    fn other_text(&self, has: &Application) -> Option<Option<String>> {
        let is_over = self.options.dockerfile.is_some() || self.options.build_type.is_some();
        match &self.dockerfile_text {
            Some(text) => (has.dockerfile_text.as_ref() != Some(text)).then(|| Some(text.clone())),
            None => (is_over && has.dockerfile_text.is_some()).then_some(None),
        }
    }

    fn other_credential(&self, has: &Application) -> Option<Option<String>> {
        let wanted = match &self.credential {
            Some(credential) => Some(credential.id.clone()),
            None if self.options.no_git_credential => None,
            None => return None,
        };
        (wanted != has.git_credential_id).then_some(wanted)
    }
}

fn switch(on: bool, off: bool) -> Option<bool> {
    (on || off).then_some(on)
}

fn differing(wanted: Option<bool>, has: bool) -> Option<bool> {
    wanted.filter(|wanted| *wanted != has)
}

/// The Dockerfile of `--dockerfile-text`.
fn read_text(file: &str) -> Result<String, Failure> {
    let unreadable =
        |error: io::Error| Failure::new(format!("the Dockerfile {file} cannot be read: {error}"));
    let mut text = String::new();
    let from: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path).map_err(unreadable)?),
    };
    from.take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LONGEST {
        return Err(Failure::usage(format!("a Dockerfile has at most {LONGEST} bytes; {file} has more")));
    }
    if text.trim().is_empty() {
        return Err(Failure::usage(format!("the Dockerfile {file} is empty")));
    }
    Ok(text)
}

/// For `--commit`: a full id, since what an abbreviation means changes with the repository.
pub fn commit(text: &str) -> Result<String, String> {
    let id = text.to_ascii_lowercase();
    match matches!(id.len(), 40 | 64) && id.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(id),
        false => {
            Err("a commit is named by its full id, 40 hex digits, as `git rev-parse HEAD` prints it"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: Option<&str>) -> Application {
        let mut application: Application = serde_json::from_value(serde_json::json!({
            "id": "a", "name": "web", "display_name": "web", "status": null, "type": "app", "source": "publicGit",
            "is_suspended": false, "company_id": "c", "project_id": null, "namespace": null, "cluster_id": null,
            "git_type": null, "repo_url": "https://h/r", "default_branch": null, "docker_image": null,
            "docker_registry_credential_id": null, "auto_deploy": false, "build_type": "dockerfile", "build_path": ".",
            "build_cache_enabled": true, "dockerfile_path": "Dockerfile", "docker_context": ".", "pack_builder": null,
            "nixpacks_version": null, "buildpacks": [], "allow_deploy_paths": [], "ignore_deploy_paths": [],
            "hibernation_enabled": false, "hibernate_after_seconds": null, "created_by": null, "created_at": "t",
            "updated_at": "t"
        }))
        .unwrap();
        application.dockerfile_text = text.map(str::to_owned);
        application
    }

    fn wanted(options: Repository, text: Option<&str>) -> Wanted {
        Wanted { options, credential: None, dockerfile_text: text.map(str::to_owned) }
    }

    #[test]
    fn what_it_has_already_is_not_sent() {
        let same = Repository {
            git: Some("https://h/r".into()),
            path: Some(".".into()),
            dockerfile: Some("Dockerfile".into()),
            cache: true,
            no_lfs: true,
            no_git_credential: true,
            ..Repository::default()
        };
        assert_eq!(wanted(same, None).change(&has(None)), UpdateApplication::default());
        let other = Repository {
            no_cache: true,
            submodules: true,
            path: Some("app".into()),
            ..Repository::default()
        };
        let expected = UpdateApplication {
            build_path: Some("app".into()),
            build_cache_enabled: Some(false),
            submodules_enabled: Some(true),
            ..Default::default()
        };
        assert_eq!(wanted(other, None).change(&has(None)), expected);
    }

    #[test]
    fn a_text_goes_when_something_else_is_named() {
        let given = wanted(Repository::default(), Some("FROM x")).change(&has(None));
        assert_eq!(given.dockerfile_text, Some(Some("FROM x".into())));
        assert_eq!(
            wanted(Repository::default(), Some("FROM x")).change(&has(Some("FROM x"))),
            UpdateApplication::default()
        );
        for options in [
            Repository { dockerfile: Some("Dockerfile".into()), ..Repository::default() },
            Repository { build_type: Some(BuildWord::Dockerfile), ..Repository::default() },
        ] {
            assert_eq!(wanted(options, None).change(&has(Some("FROM x"))).dockerfile_text, Some(None));
        }
        assert_eq!(
            wanted(Repository::default(), None).change(&has(Some("FROM x"))),
            UpdateApplication::default()
        );
    }

    #[test]
    fn a_commit_is_named_in_full() {
        assert_eq!(commit(&"A".repeat(40)), Ok("a".repeat(40)));
        assert_eq!(commit(&"0".repeat(64)), Ok("0".repeat(64)));
        for bad in ["", "abc1234", &"g".repeat(40), &"a".repeat(41), "-main"] {
            assert!(commit(bad).is_err(), "{bad}");
        }
    }
}
