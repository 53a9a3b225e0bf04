//! `darsena doctor`: is this machine, and the way to the server, in order?

use std::path::PathBuf;

use client::Error;

use crate::failure::Failure;
use crate::local::{Check, Local};
use crate::output::Output;
use crate::{block_on, login};

/// Exit code 1 when something is not in order.
#[derive(clap::Args)]
pub struct Args {
    /// The installation's data folder.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/darsena")]
    data: PathBuf,
}

/// Looks at the machine first, then at the server.
pub fn run(args: &Args, local: &dyn Local, output: &Output) -> Result<(), Failure> {
    let mut checks = local.checks(&args.data);
    checks.extend(block_on(server())?);
    if output.json {
        output.json(&checks)?;
    } else {
        print(&checks, output)?;
    }
    if checks.iter().all(|check| check.ok) { Ok(()) } else { Err(Failure::quiet()) }
}

fn print(checks: &[Check], output: &Output) -> Result<(), Failure> {
    let rows = checks.iter().map(|check| {
        let state = if check.ok { "ok" } else { "FAILED" };
        vec![state.to_owned(), check.name.clone(), check.detail.clone()]
    });
    output.table(&["", "CHECK", "FOUND"], rows)?;
    for check in checks.iter().filter(|check| !check.ok) {
        if let Some(hint) = &check.hint {
            output.line(&format!("{}: {hint}", check.name))?;
        }
    }
    Ok(())
}

async fn server() -> Vec<Check> {
    let client = match login::find() {
        Ok(Some(client)) => client,
        // A machine that was never set up may still be in order.
        Ok(None) => return vec![check("server", true, "not signed in, so not asked", None)],
        Err(failure) => {
            let (message, hint) = failure.into_words();
            return vec![check("server", false, &message, hint)];
        }
    };
    let url = client.server().to_string();
    let answer = client.validate_key().await;
    match answer {
        Ok(key) => vec![
            check("server", true, &format!("{url} answers"), None),
            check("key", true, &format!("{} is {}", key.name, key.status), None),
        ],
        Err(error) => match &error {
            Error::Refused(refusal) => vec![
                check("server", true, &format!("{url} answers"), None),
                check("key", false, &refusal.message, error.hint()),
            ],
            _ => vec![check("server", false, &error.to_string(), error.hint())],
        },
    }
}

fn check(name: &str, ok: bool, detail: &str, hint: Option<String>) -> Check {
    Check { name: name.to_owned(), ok, detail: detail.to_owned(), hint }
}
