//! What happens at a point in a debug build.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How often a held thread looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The file of a point, when a test put one there.
pub fn file(name: &str) -> Option<File> {
    let folder = std::env::var_os(crate::VARIABLE)?;
    File::options().append(true).read(true).open(Path::new(&folder).join(name)).ok()
}

/// Says who is here and waits until the file is removed. Only the first to come is held.
pub fn hold(mut file: &File, name: &str) {
    if file.lock().is_err() {
        return;
    }
    let is_first = file.metadata().is_ok_and(|file| file.len() == 0);
    let said = is_first && writeln!(file, "{} {name}", std::process::id()).is_ok();
    let _ = file.unlock();
    // A removed file has no name left; its handle needs no path, so this works in a changed root too.
    while said && file.metadata().is_ok_and(|file| file.nlink() > 0) {
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_first_to_come_is_held_until_the_file_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("S1");
        fs::write(&path, "").unwrap();
        let open = || File::options().append(true).read(true).open(&path).unwrap();
        let (first, second) = (open(), open());
        std::thread::scope(|scope| {
            let held = scope.spawn(move || hold(&first, "S1"));
            let deadline = Instant::now() + Duration::from_secs(30);
            while fs::read_to_string(&path).unwrap().is_empty() {
                assert!(Instant::now() < deadline, "nobody came");
                std::thread::yield_now();
            }
            hold(&second, "S1");
            assert!(!held.is_finished(), "the first one waits");
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{} S1\n", std::process::id()));
            fs::remove_file(&path).unwrap();
            held.join().unwrap();
        });
    }

    #[test]
    fn without_the_variable_nothing_is_armed() {
        assert!(std::env::var_os(crate::VARIABLE).is_none(), "this test wants a bare environment");
        assert!(file("S1").is_none());
        assert!(crate::environment().is_none());
        crate::reach("S1");
    }
}
