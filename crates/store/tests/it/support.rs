//! An installation in a temporary folder, and records to put into it.

use std::path::{Path, PathBuf};

use model::access::{ApiKey, Company, Role, User};
use model::deployment::{Event, State};
use model::git::{BuildSettings, GitCredential, GitLogin, GitOrder, GitSource, Revision};
use model::image::{Digest, ImageConfig};
use model::{
    App, AppId, AppName, Command, CompanyId, Credential, CredentialId, CredentialStatus, Deployment,
    DeploymentId, EnvVar, EnvVarId, GitCredentialId, Kept, Probe, Process, ProcessId, RegistryKind, Release,
    ReleaseId, ResourceType, Source, Timestamp, Trigger,
};
use rusqlite::Connection;
use store::{CompanyStore, NewKey, Page, Setup, Store};
use tempfile::TempDir;

pub const EVERYTHING: Page = Page { limit: 100, offset: 0 };

/// An installation with a first company.
pub struct Install {
    pub folder: TempDir,
    pub store: Store,
    pub company: Company,
    pub user: User,
    pub key: ApiKey,
}

impl Install {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let token = store.instance().setup_token().await.unwrap().unwrap();
        let (company, user, key) = store.instance().complete_setup(setup(&token)).await.unwrap();
        Self { folder, store, company, user, key }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("darsena.db")
    }

    pub fn ours(&self) -> CompanyStore {
        self.store.company(self.company.id)
    }

    /// Opens the same folder again, as after a restart.
    pub fn reopen(self) -> Self {
        let Install { folder, store, company, user, key } = self;
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        Self { folder, store, company, user, key }
    }

    /// A second company, made behind the store's back: setting up makes one only.
    pub fn another_company(&self) -> CompanyStore {
        let id = CompanyId::new();
        let sql = "INSERT INTO companies (id, name, created_at) VALUES (?1, 'Other', 0)";
        self.raw().execute(sql, [id.to_string()]).unwrap();
        self.store.company(id)
    }

    /// A connection past the store.
    pub fn raw(&self) -> Connection {
        Connection::open(self.database()).unwrap()
    }

    pub async fn add_app(&self, name: &str) -> App {
        let app = app(self.company.id, name);
        self.ours().create_app(&app, &web_process(&app)).await.unwrap();
        app
    }

    /// Adds a credential whose secret is `secret of NAME`.
    pub async fn add_credential(&self, name: &str) -> Credential {
        let credential = credential(self.company.id, name);
        self.ours().create_credential(&credential, &format!("secret of {name}")).await.unwrap();
        credential
    }

    /// Adds an application that is pulled with a credential.
    pub async fn add_app_with(&self, name: &str, credential: &Credential) -> App {
        let mut app = app(self.company.id, name);
        app.source = pulled_with(Some(credential.id));
        self.ours().create_app(&app, &web_process(&app)).await.unwrap();
        app
    }

    /// Queues a deployment.
    pub async fn enqueue(&self, app: &App) -> Deployment {
        let deployment = deployment(app);
        self.ours().enqueue(&deployment, None).await.unwrap();
        deployment
    }

    /// Queues a deployment and carries it on until the given state, resolving it on the way.
    pub async fn deploy_until(&self, app: &App, last: &str) -> Deployment {
        let mut deployment = self.enqueue(app).await;
        while deployment.state.name() != last {
            deployment = self.step(deployment).await;
        }
        deployment
    }

    /// Does the next step of a deployment as the driver would, without containers.
    pub async fn step(&self, mut deployment: Deployment) -> Deployment {
        let event = match &deployment.state {
            State::Waiting => Event::Begun(deployment.beginning()),
            State::Resolving => {
                self.ours().resolved(deployment.id, &release(&deployment)).await.unwrap();
                Event::Resolved
            }
            State::Fetching => Event::Fetched,
            State::Building => Event::Built,
            State::Pulling => Event::Pulled,
            State::Creating => Event::Created,
            State::Starting => Event::Started,
            State::Checking => Event::Healthy,
            State::Switching => Event::Switched { old: self.ours().switch(deployment.id).await.unwrap() },
            State::Draining { .. } => Event::Drained,
            state => panic!("nothing follows {state:?}"),
        };
        deployment.state = deployment.state.next(event).unwrap();
        deployment.updated_at = Timestamp::now();
        self.ours().save_deployment(&deployment).await.unwrap();
        self.ours().deployment(deployment.app, deployment.id).await.unwrap()
    }
}

pub fn setup(token: &str) -> Setup {
    Setup {
        token: token.to_owned(),
        email: " Ada@Example.org ".to_owned(),
        password_hash: "$argon2id$stands-for-a-hash".to_owned(),
        company_name: "Acme".to_owned(),
        key: NewKey {
            name: "first".to_owned(),
            source: "CLI".to_owned(),
            masked_token: "dars_0...beef".to_owned(),
            roles: vec![Role::Owner],
            capabilities: Vec::new(),
            token_hash: [7; 32],
        },
    }
}

pub fn app(company: CompanyId, name: &str) -> App {
    let now = Timestamp::now();
    App {
        id: AppId::new(),
        company,
        name: AppName::parse(name).unwrap(),
        display_name: name.to_owned(),
        project: None,
        source: Source::Image { reference: "nginx:1".to_owned(), credential: None },
        kept: Kept::from([("auto_deploy".to_owned(), "false".to_owned())]),
        is_suspended: false,
        status: None,
        serving: None,
        created_by: Some("ada@example.org".to_owned()),
        created_at: now,
        updated_at: now,
    }
}

pub fn pulled_with(credential: Option<CredentialId>) -> Source {
    Source::Image { reference: "ghcr.io/acme/shop:1".to_owned(), credential }
}

pub fn web_process(app: &App) -> Process {
    Process {
        id: ProcessId::new(),
        app: app.id,
        company: app.company,
        key: "web".to_owned(),
        display_name: "web".to_owned(),
        entrypoint: String::new(),
        port: None,
        is_ingress_enabled: true,
        ingress_protocol: "http".to_owned(),
        size: ResourceType::DEFAULT.id,
        scaling: None,
        liveness_probe: None,
        readiness_probe: Some(r#"{"path":"/"}"#.to_owned()),
        created_at: app.created_at,
        updated_at: app.updated_at,
    }
}

pub fn env_var(app: &App, key: &str, value: &str) -> EnvVar {
    let now = Timestamp::now();
    EnvVar {
        id: EnvVarId::new(),
        app: app.id,
        company: app.company,
        key: key.to_owned(),
        value: value.to_owned(),
        is_runtime: Some(true),
        is_buildtime: None,
        created_at: now,
        updated_at: now,
    }
}

pub fn credential(company: CompanyId, name: &str) -> Credential {
    let now = Timestamp::now();
    Credential {
        id: CredentialId::new(),
        company,
        name: name.to_owned(),
        registry: RegistryKind::Github,
        host: Some("ghcr.io".to_owned()),
        username: "bot".to_owned(),
        status: CredentialStatus::Unverified,
        last_verified_at: None,
        last_used_at: None,
        created_at: now,
        updated_at: now,
    }
}

/// A repository at `git.example.com`.
pub fn built_with(credential: Option<GitCredentialId>) -> Source {
    Source::Git(GitSource {
        url: "https://git.example.com/acme/shop".to_owned(),
        branch: Some("main".to_owned()),
        credential,
        build: BuildSettings::default(),
    })
}

pub fn git_credential(company: CompanyId, name: &str) -> GitCredential {
    let now = Timestamp::now();
    GitCredential {
        id: GitCredentialId::new(),
        company,
        name: name.to_owned(),
        host: "git.example.com".to_owned(),
        login: GitLogin::Token { username: "bot".to_owned() },
        last_used_at: None,
        created_at: now,
        updated_at: now,
    }
}

/// What a push of a commit queues.
pub fn push(app: &App, commit: &str) -> Deployment {
    let git = GitOrder {
        url: "https://git.example.com/acme/shop".to_owned(),
        revision: Revision::Commit { id: commit.to_owned(), branch: Some("main".to_owned()) },
        commit: None,
        before: None,
    };
    Deployment {
        trigger: Trigger::AutoDeployOnPush,
        reference: String::new(),
        git: Some(git),
        ..deployment(app)
    }
}

pub fn deployment(app: &App) -> Deployment {
    let now = Timestamp::now();
    Deployment {
        id: DeploymentId::new(),
        app: app.id,
        company: app.company,
        trigger: Trigger::ManualDeploy,
        reference: "nginx:1".to_owned(),
        git: None,
        image_of: None,
        digest: None,
        credential: None,
        release: None,
        state: State::Waiting,
        created_at: now,
        started_at: None,
        finished_at: None,
        updated_at: now,
    }
}

/// A release whose manifest is as unique as its id.
pub fn release(deployment: &Deployment) -> Release {
    let id = ReleaseId::new();
    let mut manifest = [0; 32];
    manifest[..16].copy_from_slice(id.uuid().as_bytes());
    Release {
        id,
        app: deployment.app,
        company: deployment.company,
        reference: deployment.reference.clone(),
        digest: Digest::from_sha256([1; 32]),
        manifest: Digest::from_sha256(manifest),
        credential: None,
        commit: None,
        config: ImageConfig::default(),
        env: vec![("PORT".to_owned(), "8080".to_owned())],
        command: Command::Words(vec!["serve".to_owned()]),
        port: 8080,
        instances: 1,
        probe: Probe::DEFAULT,
        liveness: None,
        limits: ResourceType::DEFAULT.limits,
        created_at: Timestamp::now(),
    }
}
