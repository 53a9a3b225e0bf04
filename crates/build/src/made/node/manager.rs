//! Package managers: who wrote the lock file installs from it, exactly.

use super::super::words::{is_version, numbers};
use super::super::{NotMade, Repository};
use super::manifest::Manifest;

/// Who installs the dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manager {
    Npm {
        lock: Option<&'static str>,
    },
    Pnpm {
        version: String,
        is_locked: bool,
    },
    /// Yarn 1.
    YarnClassic {
        is_locked: bool,
        is_in_image: bool,
    },
    /// Yarn 2 and later.
    Yarn {
        is_locked: bool,
        /// Which release is installed; `None`: the repository brings it, and whatever Yarn there is hands over to it.
        version: Option<String>,
        can_prune: bool,
    },
}

/// Images of Node.js are without Yarn 1 from here on (docker-node, "Removal of Yarn v1").
const FIRST_WITHOUT_YARN: u32 = 26;

impl Manager {
    /// The one that `packageManager` names, else the one whose lock file is there, else npm.
    pub fn of(repository: &Repository, manifest: &Manifest, node: u32) -> Result<Self, NotMade> {
        let named = manifest.manager();
        let version = named.map(|(_, version)| version).filter(|version| is_version(version));
        let name = match named {
            Some((name, _)) => name,
            None if repository.has("pnpm-lock.yaml") => "pnpm",
            None if repository.has("yarn.lock") => "yarn",
            None => "npm",
        };
        Ok(match name {
            "pnpm" => Self::Pnpm {
                version: version
                    .map_or_else(|| pnpm_of_lock(repository), |version| Ok(version.to_owned()))?,
                is_locked: repository.has("pnpm-lock.yaml"),
            },
            "yarn" => Self::yarn(repository, version, node)?,
            _ => Self::Npm {
                lock: ["package-lock.json", "npm-shrinkwrap.json"]
                    .into_iter()
                    .find(|name| repository.has(name)),
            },
        })
    }

    fn yarn(repository: &Repository, version: Option<&str>, node: u32) -> Result<Self, NotMade> {
        let is_locked = repository.has("yarn.lock");
        let settings = repository.read(".yarnrc.yml")?;
        let major = |text: &str| numbers(text).first().copied();
        if version.and_then(major).unwrap_or(if settings.is_some() { 2 } else { 1 }) < 2 {
            return Ok(Self::YarnClassic { is_locked, is_in_image: node < FIRST_WITHOUT_YARN });
        }
        let brought =
            settings.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix("yarnPath:"));
        let (version, release) = match brought {
            // `.yarn/releases/yarn-4.5.0.cjs`
            Some(path) => (None, path.rsplit_once("yarn-").and_then(|(_, name)| major(name))),
            None => (Some(version.unwrap_or("4").to_owned()), version.and_then(major).or(Some(4))),
        };
        // Before version 4 this is a plug-in, which may not be there.
        Ok(Self::Yarn { is_locked, version, can_prune: release.is_some_and(|release| release >= 4) })
    }

    /// What must be installed first, in every stage that runs it. Corepack would be shorter, but the one of an older
    /// image refuses everything that was signed with a newer key.
    pub fn setup(&self) -> Option<String> {
        match self {
            Self::Npm { .. }
            | Self::YarnClassic { is_in_image: true, .. }
            | Self::Yarn { version: None, .. } => None,
            Self::Pnpm { version, .. } => Some(format!("npm install --global pnpm@{version}")),
            Self::YarnClassic { is_in_image: false, .. } => Some("npm install --global yarn@1".to_owned()),
            // The image's own Yarn has the same name.
            Self::Yarn { version: Some(version), .. } => {
                Some(format!("npm install --global --force @yarnpkg/cli-dist@{version}"))
            }
        }
    }

    /// The files that say which dependencies there are, of those that may be there.
    pub fn files(&self) -> Vec<&'static str> {
        let settings: &[&str] = match self {
            Self::Npm { .. } | Self::Pnpm { .. } => &[".npmrc"],
            Self::YarnClassic { .. } => &[".npmrc", ".yarnrc"],
            Self::Yarn { .. } => &[".yarnrc.yml"],
        };
        std::iter::once("package.json").chain(self.lock_file()).chain(settings.iter().copied()).collect()
    }

    pub fn lock_file(&self) -> Option<&'static str> {
        match self {
            Self::Npm { lock } => *lock,
            Self::Pnpm { is_locked, .. } => is_locked.then_some("pnpm-lock.yaml"),
            Self::YarnClassic { is_locked, .. } | Self::Yarn { is_locked, .. } => {
                is_locked.then_some("yarn.lock")
            }
        }
    }

    /// Where it keeps what it downloaded.
    pub fn cache(&self) -> &'static str {
        match self {
            Self::Npm { .. } => "/root/.npm",
            Self::Pnpm { .. } => "/root/.local/share/pnpm/store",
            Self::YarnClassic { .. } => "/root/.cache/yarn",
            Self::Yarn { .. } => "/root/.yarn/berry/cache",
        }
    }

    /// All dependencies, exactly as locked.
    pub fn install(&self) -> &'static str {
        match self {
            Self::Npm { lock: Some(_) } => "npm ci",
            Self::Npm { lock: None } => "npm install",
            Self::Pnpm { is_locked: true, .. } => "CI=true pnpm install --frozen-lockfile",
            Self::Pnpm { is_locked: false, .. } => "CI=true pnpm install",
            Self::YarnClassic { is_locked: true, .. } => {
                "YARN_CACHE_FOLDER=/root/.cache/yarn yarn install --frozen-lockfile"
            }
            Self::YarnClassic { is_locked: false, .. } => "YARN_CACHE_FOLDER=/root/.cache/yarn yarn install",
            // What runs later is `node`, which finds modules in folders only.
            Self::Yarn { is_locked: true, .. } => "YARN_NODE_LINKER=node-modules yarn install --immutable",
            Self::Yarn { is_locked: false, .. } => "YARN_NODE_LINKER=node-modules yarn install",
        }
    }

    /// A script of the project.
    pub fn run(&self, script: &str) -> String {
        match self {
            Self::Npm { .. } => format!("npm run {script}"),
            Self::Pnpm { .. } => format!("pnpm run {script}"),
            Self::YarnClassic { .. } => format!("yarn run {script}"),
            Self::Yarn { .. } => format!("YARN_NODE_LINKER=node-modules yarn run {script}"),
        }
    }

    /// Takes away what only building needs.
    pub fn prune(&self) -> Option<&'static str> {
        match self {
            Self::Npm { .. } => Some("npm prune --omit=dev"),
            Self::Pnpm { .. } => Some("CI=true pnpm prune --prod --ignore-scripts"),
            Self::YarnClassic { .. } => Some("yarn install --production --ignore-scripts --prefer-offline"),
            Self::Yarn { can_prune: true, .. } => {
                Some("YARN_NODE_LINKER=node-modules yarn workspaces focus --all --production")
            }
            Self::Yarn { can_prune: false, .. } => None,
        }
    }
}

/// The release that reads a lock file of this version (pnpm, "Lockfile versions" in its change log).
fn pnpm_of_lock(repository: &Repository) -> Result<String, NotMade> {
    let lock = repository.read_lock("pnpm-lock.yaml")?.unwrap_or_default();
    let version = lock.lines().find_map(|line| line.strip_prefix("lockfileVersion:")).unwrap_or_default();
    let major = match numbers(version.trim().trim_matches(['\'', '"'])).first() {
        Some(5) => "7",
        Some(6) => "8",
        _ => "10",
    };
    Ok(major.to_owned())
}
