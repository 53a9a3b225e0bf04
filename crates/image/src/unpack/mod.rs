//! The unpack role: a process of its own that turns one layer's bytes into files.
//!
//! It is started for one layer, with the layer's compressed bytes on standard input and the path of a fresh
//! folder. It closes itself in ([`sandbox`]), reads the input to its end ([`stream`]), takes the tar apart
//! ([`archive`]) and writes files beneath `fs/` in that folder ([`extract`]). On standard output it says how
//! that ended ([`report`]). Whoever started it compares the digests and puts the layer in place, or removes
//! the folder.

mod archive;
mod attributes;
mod extract;
mod number;
mod path;
mod pax;
pub(crate) mod report;
mod room;
mod sandbox;
mod stream;
pub(crate) mod tree;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use model::image::Digest;
use rustix::fs::{Mode, OFlags, open};

use archive::Archive;
use extract::Extractor;
use report::{PathBytes, Refusal, RefusalKind, Report, Unpacked, printable};
use room::Room;
use stream::TarStream;

/// Folder of the files in the process's folder.
pub(crate) const FILES: &str = "fs";
/// Folder of what the layer replaced, to be removed by whoever started the process.
pub(crate) const TRASH: &str = "trash";

/// What the process is started with.
struct Arguments {
    folder: PathBuf,
    max_bytes: u64,
    max_entries: u64,
}

/// The arguments behind the role's own, in the order in which [`run`] reads them.
pub(crate) fn arguments(folder: &Path, max_bytes: u64, max_entries: u64) -> [OsString; 3] {
    [folder.into(), max_bytes.to_string().into(), max_entries.to_string().into()]
}

/// Entry of the role, for a process that has no thread but this one. `args` are those behind the role's name.
/// Success means that the layer is unpacked; the report on standard output says more in either case.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let report = match parse(args) {
        Some(arguments) => unpack(&arguments).map_or_else(Report::Refused, Report::Unpacked),
        None => Report::Refused(internal("wrong arguments")),
    };
    let is_unpacked = matches!(report, Report::Unpacked(_));
    match serde_json::to_vec(&report).map(|text| io::stdout().write_all(&text)) {
        Ok(Ok(())) if is_unpacked => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Option<Arguments> {
    let mut args = args.into_iter();
    let folder = PathBuf::from(args.next()?);
    let max_bytes = args.next()?.to_str()?.parse().ok()?;
    let max_entries = args.next()?.to_str()?.parse().ok()?;
    args.next().is_none().then_some(Arguments { folder, max_bytes, max_entries })
}

fn unpack(arguments: &Arguments) -> Result<Unpacked, Refusal> {
    let half_a_file = failpoint::Point::arm("S6");
    sandbox::enter(&arguments.folder)
        .map_err(|(step, error)| internal(&format!("it cannot {step}: {error}")))?;
    let folder = |name: &str| {
        open(
            format!("/{name}"),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| internal(&format!("it cannot open its folder {name}: {error}")))
    };
    let (files, trash) = (folder(FILES)?, folder(TRASH)?);
    let disk = files.try_clone().map_err(|error| internal(&format!("it cannot keep its folder: {error}")))?;
    let extractor = Extractor::new(files, trash, Room::new(disk), arguments.max_entries, half_a_file);

    let stream = TarStream::new(io::stdin().lock(), arguments.max_bytes)
        .map_err(|error| Refusal::invalid(printable(error.to_string().as_bytes())))?;
    let mut archive = Archive::new(stream);
    let written = extractor.extract(&mut archive)?;
    let (hash, bytes) = archive.finish()?.finish();
    let named = |paths: Vec<Vec<u8>>| paths.into_iter().map(PathBytes::new).collect();
    let unpacked = Unpacked {
        diff_id: Digest::from_sha256(hash).as_str().to_owned(),
        bytes,
        entries: written.entries,
        implied_dirs: named(written.implied),
        opaque_dirs: named(written.opaque),
    };
    unpacked.checked()
}

fn internal(reason: &str) -> Refusal {
    Refusal { kind: RefusalKind::Internal, reason: reason.to_owned() }
}
