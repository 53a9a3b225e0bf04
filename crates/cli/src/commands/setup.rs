//! `darsena setup`: the first account of a server.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use client::Client;
use serde_json::json;
use wire::{Secret, Setup};

use crate::failure::Failure;
use crate::login::{self, Login};
use crate::output::Output;
use crate::prompt;

/// The file that the first start of `darsena serve` leaves in its data folder.
const TOKEN_FILE: &str = "setup-token";

/// Works once for each server. The setup token comes from the data folder when it is on this machine, else from
/// DARSENA_SETUP_TOKEN.
#[derive(clap::Args)]
pub struct Args {
    /// The server's address.
    #[arg(long, env = "DARSENA_URL", default_value = "http://127.0.0.1:7300")]
    url: String,
    /// The server's data folder, where it left the setup token.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/darsena")]
    data: PathBuf,
    /// Your email address, the name you sign in with.
    #[arg(long)]
    email: String,
    /// The name of your company.
    #[arg(long)]
    company: String,
    /// Read the password from stdin instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

/// Makes the account, keeps the key, and prints it.
pub async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let client = Client::new(login::server(&args.url)?, None)?;
    let request = Setup {
        setup_token: setup_token(&args.data)?,
        email: args.email.clone(),
        password: password(args)?,
        company: args.company.clone(),
    };
    let done = client.setup(&request).await?;

    let key = &done.api_key;
    let url = client.server().to_string();
    // The key is shown this once, so it is printed before anything else can fail.
    if output.json {
        output.json(&json!({
            "url": url,
            "api_key": key.token,
            "api_key_id": key.id,
            "company_id": done.company_id,
            "user_id": done.user_id,
        }))?;
    } else {
        output.note("this key is shown once; it is the value for DARSENA_TOKEN elsewhere:");
        output.line(key.token.expose())?;
    }
    let file = login::save(&Login { url: url.clone(), token: key.token.clone() })?;
    output.note(&format!("{} is set up; you are signed in ({})", url, file.display()));
    Ok(())
}

fn setup_token(data: &Path) -> Result<Secret, Failure> {
    if let Some(token) = login::variable("DARSENA_SETUP_TOKEN") {
        return Ok(token.trim().into());
    }
    let path = data.join(TOKEN_FILE);
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    Ok(text.trim().into())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("the setup token {} cannot be read: {error}", path.display()));
    match error.kind() {
        ErrorKind::NotFound => failure.hint(
            "name the server's data folder with --data; a server that is set up has no token any more, \
             and for one on another machine set DARSENA_SETUP_TOKEN",
        ),
        ErrorKind::PermissionDenied => {
            failure.hint("run it as the user that runs `darsena serve`, usually with sudo")
        }
        _ => failure,
    }
}

fn password(args: &Args) -> Result<Secret, Failure> {
    let password = if args.password_stdin { prompt::stdin_line()? } else { ask_twice()? };
    if password.is_empty() {
        return Err(Failure::usage("the password is empty"));
    }
    Ok(password.into())
}

fn ask_twice() -> Result<String, Failure> {
    let no_terminal =
        || Failure::usage("there is no terminal to ask for a password").hint("pass it with --password-stdin");
    let first = prompt::hidden("Choose a password: ")?.ok_or_else(no_terminal)?;
    let second = prompt::hidden("The same again: ")?.ok_or_else(no_terminal)?;
    if first != second {
        return Err(Failure::new("the two passwords differ").hint("run the command again"));
    }
    Ok(first)
}
