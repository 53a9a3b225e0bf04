//! The roles that git is given, as a program of its own for tests; and a call in a process that a test can kill:
//! `find FOLDER URL`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build::git::{Access, Git, GitConfig, Remote};
use model::{GitUrl, Revision};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = build::git::helper(&arguments) {
        return code;
    }
    let text = |at: usize| arguments.get(at).and_then(|word| word.to_str());
    match (text(1), text(2), text(3)) {
        (Some("find"), Some(folder), Some(url)) => find(Path::new(folder), url),
        _ => ExitCode::FAILURE,
    }
}

fn find(folder: &Path, url: &str) -> ExitCode {
    let Ok(url) = GitUrl::parse(url) else { return ExitCode::FAILURE };
    let program = PathBuf::from("/proc/self/exe").read_link().unwrap_or_default();
    let mut config = GitConfig::new(folder.join("scratch"), program);
    config.insecure_hosts = vec![url.host().to_owned()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Ok(git), Ok(runtime)) = (Git::open(config), runtime) else { return ExitCode::FAILURE };
    let remote = Remote { url, access: Access::Anonymous };
    match runtime.block_on(git.find(&remote, &Revision::Default)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
