//! Our own program in the roles that git, ssh and their keeper are given. The role is the file name that the program
//! was started as, because git names a program and no arguments for it.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use super::{askpass, keeper, ssh};

/// A role of our own program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Tells git the user name or the token.
    Askpass,
    /// Runs ssh with the settings of the call.
    Ssh,
    /// Makes a process namespace and waits for the one below.
    Keep,
    /// First process there: starts a program and ends, with all others, when nobody waits any more.
    First,
}

impl Role {
    const ALL: [Role; 4] = [Role::Askpass, Role::Ssh, Role::Keep, Role::First];

    pub fn name(self) -> &'static str {
        match self {
            Role::Askpass => "darsena-git-askpass",
            Role::Ssh => "darsena-git-ssh",
            Role::Keep => "darsena-git-keep",
            Role::First => "darsena-git-first",
        }
    }
}

/// Plays a role if the program was started as one, and gives how it ended. `main` calls it before anything else, with
/// all its arguments: the roles need a process without threads.
pub fn helper(arguments: &[OsString]) -> Option<ExitCode> {
    let (me, rest) = arguments.split_first()?;
    let me = Path::new(me);
    let name = me.file_name()?.to_str()?;
    let role = Role::ALL.into_iter().find(|role| role.name() == name)?;
    // Beside the link is what the role needs.
    let folder = me.parent().unwrap_or(Path::new("."));
    Some(match role {
        Role::Askpass => askpass::run(folder, rest),
        Role::Ssh => ssh::run(folder, rest),
        Role::Keep => keeper::keep(rest),
        Role::First => keeper::first(rest),
    })
}
