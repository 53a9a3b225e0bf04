//! Another key: everything sealed opens with it and nothing with the old one, whatever interrupts the change.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use model::git::GitCredential;
use model::{App, CompanyId, Credential, Release};
use rusqlite::Connection;
use store::{HookKind, KeyProblem, Store, StoreError};
use tempfile::TempDir;

use crate::support::{Install, env_var, git_credential, release};

const HOOKS: [HookKind; 2] = [HookKind::Deploy, HookKind::Push];
const FOLDER: &str = "DARSENA_TEST_ROTATES";

/// A closed installation with something of every kind that is sealed.
struct Closed {
    folder: TempDir,
    company: CompanyId,
    shop: App,
    team: Credential,
    bot: GitCredential,
    made: Release,
}

impl Closed {
    async fn new() -> Self {
        let install = Install::new().await;
        let shop = install.add_app("shop").await;
        let team = install.add_credential("team").await;
        for number in 0..20 {
            let var = env_var(&shop, &format!("K{number}"), &format!("value {number}"));
            install.ours().create_env_var(&var).await.unwrap();
        }
        let bot = git_credential(install.company.id, "bot");
        install.ours().create_git_credential(&bot, "token of bot").await.unwrap();
        for kind in HOOKS {
            install.ours().set_hook(shop.id, kind, &format!("secret of {kind:?}")).await.unwrap();
        }
        let queued = install.enqueue(&shop).await;
        let made = release(&queued);
        install.ours().resolved(queued.id, &made).await.unwrap();
        let Install { folder, store, company, .. } = install;
        drop(store);
        Self { folder, company: company.id, shop, team, bot, made }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn sealed_secret(&self) -> Vec<u8> {
        let raw = Connection::open(self.path().join("darsena.db")).unwrap();
        raw.query_row("SELECT secret FROM credentials", [], |row| row.get(0)).unwrap()
    }

    fn problem(&self) -> StoreError {
        Store::open(self.path()).err().expect("it is refused")
    }

    /// It opens, every value is what it was, and no file of a rotation is left.
    async fn is_whole(&self) {
        let store = Store::open(self.path()).unwrap();
        let ours = store.company(self.company);
        let vars = ours.all_env_vars(self.shop.id).await.unwrap();
        assert_eq!(vars.len(), 20);
        for (number, var) in vars.iter().enumerate() {
            assert_eq!(var.value, format!("value {number}"));
        }
        assert_eq!(ours.credential_with_secret(self.team.id).await.unwrap().1.expose(), "secret of team");
        assert_eq!(ours.git_credential_with_secret(self.bot.id).await.unwrap().1.expose(), "token of bot");
        for kind in HOOKS {
            let secret = ours.hook_with_secret(self.shop.id, kind).await.unwrap().unwrap().1;
            assert_eq!(secret.expose(), format!("secret of {kind:?}"));
        }
        assert_eq!(ours.release(self.made.id).await.unwrap(), self.made);
        assert!(!self.path().join("key.new").exists());
        assert_eq!(fs::metadata(self.path().join("key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// What a crash leaves on the disk.
struct Step<'a> {
    name: &'a str,
    database: &'a [u8],
    key: &'a [u8],
    beside: Option<&'a [u8]>,
}

impl Step<'_> {
    fn leave_in(&self, closed: &Closed) {
        closed.put("darsena.db", self.database);
        closed.put("key", self.key);
        if let Some(beside) = self.beside {
            closed.put("key.new", beside);
        }
    }
}

#[tokio::test]
async fn after_a_rotation_only_the_new_key_opens() {
    let closed = Closed::new().await;
    let (old_key, old_secret) = (closed.bytes("key"), closed.sealed_secret());
    let report = Store::rotate_key(closed.path()).unwrap();
    assert_eq!(report.resealed, 25);
    assert_ne!(report.old_key, report.new_key);
    assert_ne!(closed.bytes("key"), old_key);
    closed.is_whole().await;
    let database = closed.bytes("darsena.db");
    assert!(!database.windows(old_secret.len()).any(|window| window == old_secret), "nothing old is left");

    let new_key = closed.bytes("key");
    closed.put("key", &old_key);
    let StoreError::Key { problem: KeyProblem::Wrong { found, expected }, .. } = closed.problem() else {
        panic!("the old key is good no longer")
    };
    assert_eq!((found, expected), (report.old_key, report.new_key));
    closed.put("key", &new_key);
    let again = Store::rotate_key(closed.path()).unwrap();
    assert_eq!(again.resealed, 25);
    closed.is_whole().await;
}

#[tokio::test]
async fn a_crash_after_any_step_leaves_a_folder_that_opens() {
    let closed = Closed::new().await;
    let (old_database, old_key) = (closed.bytes("darsena.db"), closed.bytes("key"));
    Store::rotate_key(closed.path()).unwrap();
    let (new_database, new_key) = (closed.bytes("darsena.db"), closed.bytes("key"));

    let step = |name, database, key, beside| Step { name, database, key, beside };
    let (old, new) = ((&*old_database, &*old_key), (&*new_database, &*new_key));
    for step in [
        step("an empty file of the new key", old.0, old.1, Some(&b""[..])),
        step("half of the new key", old.0, old.1, Some(&new.1[..16])),
        step("the new key is there, the database is not switched", old.0, old.1, Some(new.1)),
        step("the database is switched, the key is not renamed", new.0, old.1, Some(new.1)),
        step("all done", new.0, new.1, None),
    ] {
        step.leave_in(&closed);
        closed.is_whole().await;
        let current = if step.database == old.0 { old.1 } else { new.1 };
        assert_eq!(closed.bytes("key"), current, "{}", step.name);

        step.leave_in(&closed);
        Store::rotate_key(closed.path()).unwrap_or_else(|error| panic!("{}: {error}", step.name));
        closed.is_whole().await;
        assert!(![old.1, new.1].contains(&&*closed.bytes("key")), "{}", step.name);
    }
}

/// Run by the next test, in a process of its own.
#[test]
fn rotates_until_it_is_killed() {
    while let Some(folder) = std::env::var_os(FOLDER) {
        Store::rotate_key(Path::new(&folder)).unwrap();
    }
}

#[tokio::test]
async fn a_rotation_that_is_killed_anywhere_loses_nothing() {
    let closed = Closed::new().await;
    let mut keys = vec![closed.bytes("key")];
    for round in 0..25 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "rotation::rotates_until_it_is_killed"])
            .env(FOLDER, closed.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Whenever: it goes on and on, and every moment is as good as another.
        std::thread::sleep(Duration::from_millis(40 + 7 * round));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        assert_eq!(ended.code(), None, "it was killed and did not fail");
        closed.is_whole().await;
        keys.push(closed.bytes("key"));
    }
    keys.dedup();
    assert!(keys.len() > 1, "it did rotate");
}

#[tokio::test]
async fn it_is_not_done_under_a_running_server() {
    let closed = Closed::new().await;
    let key = closed.bytes("key");
    let running = Store::open(closed.path()).unwrap();
    let refused = Store::rotate_key(closed.path()).unwrap_err();
    assert!(matches!(refused, StoreError::Busy), "{refused}");
    drop(running);
    assert_eq!(closed.bytes("key"), key);
    closed.is_whole().await;
}

#[tokio::test]
async fn a_value_that_does_not_open_stops_it_and_nothing_changes() {
    let closed = Closed::new().await;
    let (key, right) = (closed.bytes("key"), closed.sealed_secret());
    let raw = || Connection::open(closed.path().join("darsena.db")).unwrap();
    raw().execute("UPDATE releases SET env = x'010203'", []).unwrap();
    let refused = Store::rotate_key(closed.path()).unwrap_err();
    assert!(matches!(&refused, StoreError::Damaged(_)), "{refused}");
    assert!(refused.to_string().contains(&closed.made.id.to_string()), "{refused}");
    assert_eq!((closed.bytes("key"), closed.sealed_secret()), (key, right));
    Store::open(closed.path()).unwrap();
    assert!(!closed.path().join("key.new").exists());
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_named_and_stays_for_the_one_who_has_it() {
    let closed = Closed::new().await;
    let right = closed.bytes("key");
    let problem = |error: StoreError| match error {
        StoreError::Key { path, problem } => (path.file_name().unwrap().to_owned(), problem),
        other => panic!("{other}"),
    };
    let both = || [closed.problem(), Store::rotate_key(closed.path()).unwrap_err()].map(problem);

    fs::remove_file(closed.path().join("key")).unwrap();
    for (name, problem) in both() {
        assert_eq!((name.to_str(), problem), (Some("key"), KeyProblem::Missing));
    }
    closed.put("key", &[7; 32]);
    closed.put("key.new", &[8; 32]);
    for (name, problem) in both() {
        assert_eq!(name.to_str(), Some("key"));
        assert!(matches!(problem, KeyProblem::Wrong { .. }), "{problem}");
    }
    assert_eq!(closed.bytes("key.new"), [8; 32], "nothing is removed before it is sure that it is useless");

    // The right key in the file of a rotation, readable by others.
    closed.put("key.new", &right);
    fs::set_permissions(closed.path().join("key.new"), Permissions::from_mode(0o644)).unwrap();
    for (name, problem) in both() {
        assert_eq!((name.to_str(), problem), (Some("key.new"), KeyProblem::Readable(0o644)));
    }
    fs::set_permissions(closed.path().join("key.new"), Permissions::from_mode(0o600)).unwrap();
    closed.is_whole().await;
    assert_eq!(closed.bytes("key"), right);

    let empty = tempfile::tempdir().unwrap();
    let nothing = Store::rotate_key(empty.path()).unwrap_err();
    assert!(matches!(nothing, StoreError::File { .. }), "{nothing}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is made");
}
