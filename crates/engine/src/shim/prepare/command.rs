//! Whether the command can be run at all, found out before anything is started: the kernel would only say
//! "no such file or directory", whichever file it means.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::inside::Root;
use crate::{EngineError, Refusal};

/// `e_machine` of this machine's programs, 64 and 32 bits (ELF specification, "ELF Header").
const MACHINES: [u16; 2] = [62, 3];
const PT_INTERP: u32 = 3;
/// Length of the first line that the kernel reads of a script.
const SHEBANG_MAX: usize = 256;
const INTERPRETER_MAX: u64 = 4096;

/// Finds the program of `args` as the runtime will and checks that the kernel can run it.
pub(super) fn check(root: &Root, args: &[String], search: &str, cwd: &Path) -> Result<(), EngineError> {
    let Some(program) = args.first().filter(|program| !program.is_empty()) else {
        return Err(refuse("the image names no command, and none was given", "give a start command"));
    };
    let mut unfit = None;
    for path in candidates(program, search, cwd) {
        match root.open_file(&path) {
            Ok(Some(file)) if is_executable(&file) => return check_format(root, &path, file),
            Ok(Some(_)) => unfit = unfit.or(Some((path, "it is not marked as executable"))),
            Ok(None) => {}
            Err(EngineError::Refused(_)) => unfit = unfit.or(Some((path, "it is no regular file"))),
            Err(error) => return Err(error),
        }
    }
    match unfit {
        Some((path, why)) => Err(refuse(
            format!("the command {} cannot be run: {why}", path.display()),
            "set its mode in the image (chmod +x), or give another start command",
        )),
        None if program.contains('/') => Err(refuse(
            format!("the command {program} is not in the image"),
            "check ENTRYPOINT and CMD of the image, or the start command",
        )),
        None => Err(refuse(
            format!("the command {program:?} is not in the image's PATH ({search})"),
            "check ENTRYPOINT and CMD of the image, or the start command",
        )),
    }
}

/// Where the program may be; a name with a slash is not searched for.
fn candidates(program: &str, search: &str, cwd: &Path) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![cwd.join(program)];
    }
    search.split(':').filter(|folder| folder.starts_with('/')).map(|f| Path::new(f).join(program)).collect()
}

fn is_executable(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

fn check_format(root: &Root, path: &Path, mut file: File) -> Result<(), EngineError> {
    let mut head = [0; SHEBANG_MAX];
    let length =
        read_up_to(&mut file, &mut head).map_err(|error| EngineError::host("reading the command", error))?;
    match &head[..length] {
        [0x7f, b'E', b'L', b'F', ..] => check_elf(root, path, &mut file, &head[..length]),
        [b'#', b'!', line @ ..] => check_script(root, path, line),
        _ => Err(refuse(
            format!("the command {} is neither a program nor a script that begins with #!", path.display()),
            "check ENTRYPOINT and CMD of the image",
        )),
    }
}

fn check_script(root: &Root, path: &Path, line: &[u8]) -> Result<(), EngineError> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let path = path.display();
    if line.ends_with('\r') {
        return Err(refuse(
            format!("the script {path} has Windows line ends: its first line ends with a carriage return"),
            "save the script with Unix line ends (LF) and build the image anew",
        ));
    }
    let Some(interpreter) = line.split_whitespace().next() else {
        return Err(refuse(
            format!("the script {path} names no interpreter after #!"),
            "mend its first line",
        ));
    };
    match root.open_in(Path::new(interpreter), OFlags::PATH) {
        Ok(_) => Ok(()),
        Err(_) => Err(refuse(
            format!("the script {path} needs {interpreter}, which is not in the image"),
            "install the interpreter in the image, or change the script's first line",
        )),
    }
}

fn check_elf(root: &Root, path: &Path, file: &mut File, head: &[u8]) -> Result<(), EngineError> {
    let shown = path.display();
    let machine = u16_at(head, 18).unwrap_or(0);
    if !MACHINES.contains(&machine) {
        return Err(refuse(
            format!(
                "the command {shown} is a program for {}, and this machine is x86-64",
                machine_name(machine)
            ),
            "deploy an image for linux/amd64",
        ));
    }
    let Ok(Some(interpreter)) = elf_interpreter(file, head) else { return Ok(()) };
    match root.open_in(Path::new(&interpreter), OFlags::PATH) {
        Ok(_) => Ok(()),
        Err(_) => Err(refuse(
            format!("the command {shown} needs {interpreter}, which is not in the image"),
            "build it for the image's own C library (glibc or musl), or link it statically",
        )),
    }
}

/// The dynamic loader that a program asks for (ELF specification, "Program Header").
fn elf_interpreter(file: &mut File, head: &[u8]) -> io::Result<Option<String>> {
    let is_64 = head.get(4) == Some(&2);
    let (table, size, count) = match is_64 {
        true => (u64_at(head, 32), u16_at(head, 54), u16_at(head, 56)),
        false => (u32_at(head, 28).map(u64::from), u16_at(head, 42), u16_at(head, 44)),
    };
    let (Some(table), Some(size), Some(count)) = (table, size, count) else { return Ok(None) };
    for index in 0..u64::from(count) {
        let mut entry = [0; 56];
        let Some(place) = table.checked_add(index * u64::from(size)) else { return Ok(None) };
        file.seek(SeekFrom::Start(place))?;
        let length = read_up_to(file, &mut entry)?;
        let entry = &entry[..length];
        if u32_at(entry, 0) != Some(PT_INTERP) {
            continue;
        }
        let (offset, length) = match is_64 {
            true => (u64_at(entry, 8), u64_at(entry, 32)),
            false => (u32_at(entry, 4).map(u64::from), u32_at(entry, 16).map(u64::from)),
        };
        let (Some(offset), Some(length)) = (offset, length) else { return Ok(None) };
        file.seek(SeekFrom::Start(offset))?;
        let mut name = Vec::new();
        file.take(length.min(INTERPRETER_MAX)).read_to_end(&mut name)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        return Ok(Some(String::from_utf8_lossy(name).into_owned()));
    }
    Ok(None)
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn machine_name(machine: u16) -> String {
    match machine {
        40 => "32-bit ARM".to_owned(),
        183 => "64-bit ARM".to_owned(),
        243 => "RISC-V".to_owned(),
        20 | 21 => "PowerPC".to_owned(),
        22 => "s390x".to_owned(),
        other => format!("machine number {other}"),
    }
}

fn refuse(message: impl Into<String>, hint: &str) -> EngineError {
    EngineError::Refused(Refusal::command(message, hint))
}
