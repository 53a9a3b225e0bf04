//! The environment of the command, and whether it and the arguments can be handed over at all. Pure.

use crate::Refusal;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The kernel's limit of one argument or variable, in bytes (execve(2)).
const STRING_MAX: usize = 128 << 10;
/// The kernel gives arguments and environment a quarter of the stack; this leaves it some room.
const TOTAL_MAX: usize = 1 << 20;

/// The given variables, of each name the last, with what every program expects to find.
pub(super) fn complete(
    given: &[(String, String)],
    hostname: &str,
    home: &str,
) -> Result<Vec<(String, String)>, Refusal> {
    let mut env: Vec<(String, String)> = Vec::with_capacity(given.len() + 3);
    for (name, value) in given {
        check(name, value)?;
        match env.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => old.clone_from(value),
            None => env.push((name.clone(), value.clone())),
        }
    }
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOSTNAME", hostname), ("HOME", home)] {
        if env.iter().all(|(known, _)| known != name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    if let Some((_, path)) = env.iter_mut().find(|(name, path)| name == "PATH" && path.is_empty()) {
        DEFAULT_PATH.clone_into(path);
    }
    Ok(env)
}

/// A value is never part of the message: it may be a secret.
fn check(name: &str, value: &str) -> Result<(), Refusal> {
    let hint = "rename or remove the variable";
    if name.is_empty() {
        return Err(Refusal::config("an environment variable has no name", hint));
    }
    if name.contains(['=', '\0']) {
        return Err(Refusal::config(format!("{name:?} cannot be the name of an environment variable"), hint));
    }
    if value.contains('\0') {
        return Err(Refusal::config(
            format!("the value of the environment variable {name} holds a NUL byte"),
            hint,
        ));
    }
    if name.len() + value.len() + 2 > STRING_MAX {
        let message = format!("the environment variable {name} is longer than 128 KiB, the kernel's limit");
        return Err(Refusal::config(message, "put its content into a file of the image"));
    }
    Ok(())
}

/// Refuses arguments that no program can be started with.
pub(super) fn check_size(args: &[String], env: &[(String, String)]) -> Result<(), Refusal> {
    let hint = "shorten the start command or the environment";
    if args.iter().any(|arg| arg.contains('\0')) {
        return Err(Refusal::config("the start command holds a NUL byte", hint));
    }
    if args.iter().any(|arg| arg.len() + 1 > STRING_MAX) {
        return Err(Refusal::config("an argument of the start command is longer than 128 KiB", hint));
    }
    let total: usize = args.iter().map(|arg| arg.len() + 9).sum::<usize>()
        + env.iter().map(|(name, value)| name.len() + value.len() + 10).sum::<usize>();
    match total > TOTAL_MAX {
        true => Err(Refusal::config("start command and environment together are larger than 1 MiB", hint)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_given_stays() {
        let env = complete(&pairs(&[("A", "1"), ("HOME", "/h"), ("A", "2"), ("PATH", "")]), "web", "/root")
            .unwrap();
        let expected = [("A", "2"), ("HOME", "/h"), ("PATH", DEFAULT_PATH), ("HOSTNAME", "web")];
        assert_eq!(env, pairs(&expected));
    }

    #[test]
    fn what_no_program_can_be_given_is_refused_without_its_value() {
        for (name, value) in [("", "secret"), ("A=B", "secret"), ("A\0", "secret"), ("A", "secret\0")] {
            let refusal = complete(&pairs(&[(name, value)]), "web", "/").unwrap_err();
            assert!(!refusal.message.contains("secret"), "{refusal}");
        }
        assert!(complete(&pairs(&[("A", &"x".repeat(STRING_MAX))]), "web", "/").is_err());
        assert!(
            complete(
                &pairs(&[("LD_PRELOAD", "/x"), ("A B", "new\nline"), ("BASH_FUNC_x%%", "() {")]),
                "",
                ""
            )
            .is_ok()
        );
        assert!(check_size(&["a\0".to_owned()], &[]).is_err());
        let many = pairs(&vec![("NAME", "0123456789012345678901234567890123456789"); 30_000]);
        assert!(check_size(&[], &many).is_err());
    }
}
