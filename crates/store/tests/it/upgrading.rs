//! Databases of earlier versions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model::{App, CompanyId, Deployment, EnvVar, Release};
use rusqlite::{Connection, params};
use store::{AuditEntry, HookKind, RequestKey, Store, StoreError};
use tempfile::TempDir;

use crate::support::{Install, built_with, credential, deployment, env_var, git_credential, pulled_with};

/// The migrations that made a database of an earlier version.
const EARLIER: [&str; 4] = [
    include_str!("../../migrations/0001_first.sql"),
    include_str!("../../migrations/0002_credentials.sql"),
    include_str!("../../migrations/0003_instances.sql"),
    include_str!("../../migrations/0004_repeated_requests.sql"),
];
/// The tables of the first version.
const TABLES: [&str; 11] = [
    "installation",
    "companies",
    "users",
    "api_keys",
    "projects",
    "apps",
    "processes",
    "env_vars",
    "releases",
    "deployments",
    "deployment_log",
];

/// An installation whose database has the first schema, with rows in every table.
struct Old {
    folder: TempDir,
    company: CompanyId,
    shop: App,
    var: EnvVar,
    done: Deployment,
    made: Release,
}

impl Old {
    async fn new() -> Self {
        let install = Install::new().await;
        let project = install.ours().create_project("Team").await.unwrap();
        let shop = install.add_app("shop").await;
        install.ours().add_to_project(project.id, shop.id).await.unwrap();
        let var = env_var(&shop, "A", "b");
        install.ours().create_env_var(&var).await.unwrap();
        let done = install.deploy_until(&shop, "done").await;
        install.ours().append_deployment_log(done.id, "INFO", "done").await.unwrap();
        install.ours().enqueue(&deployment(&shop), None).await.unwrap();
        let shop = install.ours().app(shop.id).await.unwrap();
        let made = install.ours().release(done.release.unwrap()).await.unwrap();
        let Install { folder, store, company, .. } = install;
        drop(store);
        turn_back(folder.path(), 1, &TABLES);
        Self { folder, company: company.id, shop, var, done, made }
    }

    fn database(&self) -> Connection {
        Connection::open(self.folder.path().join("darsena.db")).unwrap()
    }
}

/// Moves every row of the tables into a database of an earlier version, made by its SQL. Sealed values come along: they are bound to rows, which
/// stay the same.
fn turn_back(folder: &Path, version: usize, tables: &[&str]) {
    let (newer, database) = (folder.join("newer.db"), folder.join("darsena.db"));
    fs::rename(&database, &newer).unwrap();
    let old = Connection::open(&database).unwrap();
    old.pragma_update(None, "foreign_keys", false).unwrap();
    old.execute_batch(&EARLIER[..version].concat()).unwrap();
    old.pragma_update(None, "user_version", version as u32).unwrap();
    old.execute("ATTACH ?1 AS newer", [newer.to_str()]).unwrap();
    for table in tables {
        let sql = "SELECT group_concat('\"' || name || '\"') FROM pragma_table_info(?1, 'main')";
        let columns: String = old.query_row(sql, [table], |row| row.get(0)).unwrap();
        let sql = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}");
        assert!(old.execute(&sql, []).unwrap() > 0, "{table} has rows");
    }
    drop(old);
    fs::remove_file(newer).unwrap();
}

#[tokio::test]
async fn every_row_of_the_first_version_is_there_after_the_upgrade() {
    let old = Old::new().await;
    let store = Store::open(old.folder.path()).unwrap();
    let ours = store.company(old.company);
    assert_eq!(ours.app(old.shop.id).await.unwrap(), old.shop, "with project, status and what serves");
    assert_eq!(ours.web_process(old.shop.id).await.unwrap().app, old.shop.id);
    assert_eq!(ours.all_env_vars(old.shop.id).await.unwrap(), std::slice::from_ref(&old.var));
    assert_eq!(ours.deployment(old.shop.id, old.done.id).await.unwrap(), old.done);
    assert_eq!(ours.release(old.made.id).await.unwrap(), old.made);
    assert_eq!(store.instance().serving().await.unwrap().len(), 1);
    assert_eq!(store.instance().unfinished().await.unwrap().len(), 1);

    // The new rules hold, and the old ones too.
    let team = credential(old.company, "team");
    let mut shop = old.shop.clone();
    shop.source = pulled_with(Some(team.id));
    assert!(matches!(ours.update_app(&shop).await, Err(StoreError::NotFound)));
    ours.create_credential(&team, "x").await.unwrap();
    ours.update_app(&shop).await.unwrap();
    assert!(matches!(ours.delete_credential(team.id, false).await, Err(StoreError::CredentialInUse(_))));
    ours.delete_app(shop.id).await.unwrap();
    for table in ["processes", "env_vars", "releases", "deployments", "deployment_log"] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(old.database().query_row(&sql, [], |row| row.get(0)), Ok(0), "{table}");
    }
}

/// Applications with credentials, old releases and requests that may be repeated, from the version before Git.
#[tokio::test]
async fn every_row_of_the_fourth_version_is_there_after_the_upgrade() {
    let install = Install::new().await;
    let team = install.add_credential("team").await;
    let shop = install.add_app_with("shop", &team).await;
    let var = env_var(&shop, "A", "b");
    install.ours().create_env_var(&var).await.unwrap();
    let project = install.ours().create_project("Team").await.unwrap();
    install.ours().add_to_project(project.id, shop.id).await.unwrap();
    let done = install.deploy_until(&shop, "done").await;
    install.ours().append_deployment_log(done.id, "INFO", "done").await.unwrap();
    let key = RequestKey { key: "once".to_owned(), request: "x".to_owned() };
    let waiting = install.ours().enqueue(&deployment(&shop), Some(&key)).await.unwrap();
    let entry = AuditEntry {
        at: done.created_at,
        company: None,
        actor: "a".into(),
        action: "b".into(),
        target: "c".into(),
        ip: None,
    };
    install.store.instance().append_audit(&entry).await.unwrap();
    let shop = install.ours().app(shop.id).await.unwrap();
    let made = install.ours().release(done.release.unwrap()).await.unwrap();
    let Install { folder, store, company, .. } = install;
    drop(store);
    turn_back(folder.path(), 4, &[&TABLES[..], &["credentials", "request_keys", "audit_log"]].concat());

    let store = Store::open(folder.path()).unwrap();
    let ours = store.company(company.id);
    assert_eq!(ours.app(shop.id).await.unwrap(), shop);
    assert_eq!(ours.credential_users(team.id).await.unwrap(), std::slice::from_ref(&shop));
    assert_eq!(ours.all_env_vars(shop.id).await.unwrap(), [var]);
    assert_eq!(ours.deployment(shop.id, done.id).await.unwrap(), done);
    assert_eq!(ours.release(made.id).await.unwrap(), made);
    assert_eq!(ours.started_by(&key).await.unwrap(), Some(waiting));
    assert!(matches!(ours.delete_credential(team.id, false).await, Err(StoreError::CredentialInUse(_))));

    // And the new things work beside them.
    let bot = git_credential(company.id, "bot");
    ours.create_git_credential(&bot, "token").await.unwrap();
    ours.set_hook(shop.id, HookKind::Push, "secret").await.unwrap();
    let built = App { source: built_with(Some(bot.id)), ..shop };
    ours.update_app(&built).await.unwrap();
    assert_eq!(ours.app(built.id).await.unwrap().source, built.source);
    ours.delete_credential(team.id, false).await.unwrap();
}

#[tokio::test]
async fn an_upgraded_database_has_the_schema_of_a_new_one() {
    let schema = |database: &Connection| -> Vec<String> {
        let mut rows =
            database.prepare("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY sql").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let (old, new) = (Old::new().await, Install::new().await);
    drop(Store::open(old.folder.path()).unwrap());
    assert_eq!(schema(&old.database()), schema(&new.raw()));
}

#[tokio::test]
async fn the_database_is_copied_before_it_changes() {
    let old = Old::new().await;
    let folder = old.folder.path();
    // What an earlier upgrade and an earlier attempt at this one left.
    fs::write(folder.join("darsena.db.before-2"), "long ago").unwrap();
    fs::write(folder.join("darsena.db.before-5"), "earlier").unwrap();
    fs::write(folder.join("darsena.db.before-5-new"), "half").unwrap();
    drop(Store::open(folder).unwrap());

    let copy = folder.join("darsena.db.before-5");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!folder.join("darsena.db.before-5-new").exists());
    assert!(!folder.join("darsena.db.before-2").exists(), "a copy is kept until the next upgrade");
    let restored = tempfile::tempdir().unwrap();
    fs::copy(&copy, restored.path().join("darsena.db")).unwrap();
    fs::copy(folder.join("key"), restored.path().join("key")).unwrap();
    let raw = Connection::open(&copy).unwrap();
    assert_eq!(raw.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)), Ok(1));
    raw.query_row("SELECT count(*) FROM credentials", [], |_| Ok(())).unwrap_err();

    let store = Store::open(restored.path()).unwrap();
    assert_eq!(store.company(old.company).app(old.shop.id).await.unwrap(), old.shop);
    let before = fs::metadata(&copy).unwrap().modified().unwrap();
    drop(Store::open(folder).unwrap());
    assert_eq!(fs::metadata(&copy).unwrap().modified().unwrap(), before, "once is enough");
    let new = Install::new().await;
    assert!(!new.path().join("darsena.db.before-5").exists(), "a new database needs no copy");
}

#[tokio::test]
async fn nothing_changes_before_the_key_is_known_to_be_right() {
    let old = Old::new().await;
    let key = old.folder.path().join("key");
    let right = fs::read(&key).unwrap();
    fs::write(&key, [7; 32]).unwrap();
    assert!(matches!(Store::open(old.folder.path()).err(), Some(StoreError::Key { .. })));
    assert!(!old.folder.path().join("darsena.db.before-5").exists());
    assert_eq!(old.database().pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)), Ok(1));

    fs::write(&key, right).unwrap();
    Store::rotate_key(old.folder.path()).unwrap();
    let store = Store::open(old.folder.path()).unwrap();
    assert_eq!(store.company(old.company).release(old.made.id).await.unwrap(), old.made);
}

#[tokio::test]
async fn a_credential_that_the_first_version_took_for_one_is_forgotten() {
    let old = Old::new().await;
    let sql = "UPDATE apps SET source = json_set(source, '$.Image.credential', ?1)";
    old.database().execute(sql, params![old.made.id.to_string()]).unwrap();
    let store = Store::open(old.folder.path()).unwrap();
    assert_eq!(store.company(old.company).app(old.shop.id).await.unwrap().source, old.shop.source);
}

#[tokio::test]
async fn an_upgrade_that_would_lose_a_reference_is_not_made() {
    let old = Old::new().await;
    let raw = old.database();
    raw.pragma_update(None, "foreign_keys", false).unwrap();
    raw.execute("DELETE FROM projects", []).unwrap();
    let error = Store::open(old.folder.path()).err().unwrap();
    assert!(matches!(&error, StoreError::Damaged(words) if words.contains("apps")), "{error}");
    assert_eq!(raw.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)), Ok(1));
}

#[tokio::test]
async fn a_later_version_is_refused_with_the_copy_to_go_back_to() {
    let old = Old::new().await;
    let folder = old.folder.path();
    drop(Store::open(folder).unwrap());
    let raw = old.database();
    let later = |version: u32| raw.pragma_update(None, "user_version", version).unwrap();
    later(9);
    // The copy was made by the upgrade from 1, so it is what this version can open.
    let error = Store::open(folder).err().unwrap();
    let copy = folder.join("darsena.db.before-5");
    assert!(
        matches!(&error, StoreError::Newer { found: 9, copy: Some(named), .. } if *named == copy),
        "{error}"
    );
    let words = error.to_string();
    assert!(words.contains(copy.to_str().unwrap()) && words.contains("darsena.db-wal"), "{words}");

    // As the words say.
    drop(raw);
    for log in ["darsena.db-wal", "darsena.db-shm"] {
        // Not there after a clean end.
        let _ = fs::remove_file(folder.join(log));
    }
    fs::copy(&copy, folder.join("darsena.db")).unwrap();
    let store = Store::open(folder).unwrap();
    assert_eq!(store.company(old.company).app(old.shop.id).await.unwrap(), old.shop);
    drop(store);

    // A copy that is itself too new, or none at all, is not named.
    old.database().pragma_update(None, "user_version", 9).unwrap();
    Connection::open(&copy).unwrap().pragma_update(None, "user_version", 8).unwrap();
    let error = Store::open(folder).err().unwrap();
    assert!(matches!(error, StoreError::Newer { copy: None, .. }), "{error}");
    assert!(error.to_string().contains("restore a backup of the data folder"), "{error}");
}

const UPGRADED_BY_CHILD: &str = "DARSENA_TEST_UPGRADE";

/// Opens the folder that the variable names, in a process of its own which may be killed; a test only by name.
#[test]
fn upgrade_in_a_child() {
    if let Some(folder) = std::env::var_os(UPGRADED_BY_CHILD) {
        drop(Store::open(Path::new(&folder)).unwrap());
    }
}

fn upgrading(folder: &Path) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "upgrading::upgrade_in_a_child"])
        .env(UPGRADED_BY_CHILD, folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn an_upgrade_that_is_killed_happened_or_did_not() {
    let old = Old::new().await;
    // Enough rows that copying and changing them takes a while.
    let many = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 40000)
                INSERT INTO deployment_log (deployment, at, severity, text)
                SELECT ?1, x, 'INFO', hex(randomblob(60)) FROM n";
    old.database().execute(many, [old.done.id.to_string()]).unwrap();
    let copied = || {
        let copy = tempfile::tempdir().unwrap();
        for name in ["darsena.db", "key"] {
            fs::copy(old.folder.path().join(name), copy.path().join(name)).unwrap();
        }
        copy
    };
    let whole = copied();
    let began = std::time::Instant::now();
    assert!(upgrading(whole.path()).wait().unwrap().success());
    let takes = began.elapsed();
    for round in 0..12 {
        let copy = copied();
        let mut child = upgrading(copy.path());
        // At another moment in each round; whether that is before, during or after, all of them are right.
        std::thread::sleep(takes * round / 10);
        child.kill().unwrap();
        child.wait().unwrap();
        let version =
            |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
        let raw = Connection::open(copy.path().join("darsena.db")).unwrap();
        let after: u32 = version(&raw).unwrap();
        assert!([1, 5].contains(&after), "round {round}: schema version {after}");
        drop(raw);

        let store = Store::open(copy.path()).unwrap();
        assert_eq!(store.company(old.company).app(old.shop.id).await.unwrap(), old.shop);
        drop(store);
        let copied = Connection::open(copy.path().join("darsena.db.before-5")).unwrap();
        assert_eq!(version(&copied), Ok(1), "round {round}: the copy is what it was before");
        assert!(!copy.path().join("darsena.db.before-5-new").exists());
    }
}

const FULL_DISK: &str = "DARSENA_TEST_FULL_DISK";

/// The disk is a tmpfs in a mount namespace of a child's own, so nothing of it stays, however the test ends.
#[test]
fn an_upgrade_on_a_full_disk_is_not_made() {
    let disk = tempfile::tempdir().unwrap();
    let child = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "upgrading::upgrade_on_a_full_disk_in_a_child"])
        .env(FULL_DISK, disk.path())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    if said.contains("unshare failed") {
        return not_run();
    }
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests is told")]
fn not_run() {
    println!("not run: needs root");
}

/// Does something only as the child of the test above.
#[tokio::test]
async fn upgrade_on_a_full_disk_in_a_child() {
    let Some(disk) = std::env::var_os(FULL_DISK) else { return };
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
        .arg(&disk)
        .status();
    assert!(mount.unwrap().success());
    let (disk, old) = (Path::new(&disk), Old::new().await);
    for name in ["darsena.db", "key"] {
        fs::copy(old.folder.path().join(name), disk.join(name)).unwrap();
    }
    let filler = disk.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    // Some room is left, too little for a copy of the database.
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|count| count > 0) {}
    let length = file.metadata().unwrap().len();
    file.set_len(length - 96 * 1024).unwrap();
    drop(file);

    let error = Store::open(disk).err().unwrap();
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    let raw = Connection::open(disk.join("darsena.db")).unwrap();
    assert_eq!(raw.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)), Ok(1));
    drop(raw);
    assert!(!disk.join("darsena.db.before-5-new").exists(), "half a copy would be in the way");

    fs::remove_file(filler).unwrap();
    let store = Store::open(disk).unwrap();
    assert_eq!(store.company(old.company).app(old.shop.id).await.unwrap(), old.shop);
}
