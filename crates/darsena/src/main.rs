//! One binary, several roles. Each role is its own process, so that none can take another down.

mod building;
mod doctor;
mod down;
mod ingress_role;
mod load;
mod lock;
mod paths;
mod platform;
mod rotate;
mod serve;
mod translated;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Self-hosted application platform: from an image or a repository to a running application with a URL.
#[derive(Parser)]
#[command(name = "darsena", version, arg_required_else_help = true)]
struct Arguments {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    word: Word,
}

#[derive(Subcommand)]
enum Word {
    /// Run the platform on this machine: API, deployments, ingress.
    Serve(serve::Options),
    /// Stop all applications of a data folder and remove what they left on this machine; the data stays.
    Down(down::Options),
    /// Seal the secrets in the database under a new key.
    RotateKey(rotate::Options),
    /// Data plane; started by `serve`.
    #[command(hide = true)]
    Ingress(ingress_role::Options),
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    // These must find a bare process: no threads, no runtime, no TLS.
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = build::git::helper(&arguments) {
        return code;
    }
    match arguments.get(1).and_then(|word| word.to_str()) {
        Some("shim") => return engine::shim::run(&arguments[2..]),
        Some(building::ROOM) => return build::room::run(&arguments[2..]),
        Some("unpack") => return image::unpack::run(arguments.into_iter().skip(2)),
        _ => {}
    }

    let Arguments { json, word } = Arguments::parse();
    forbid_core_files();
    use_tls_provider();
    let result = match word {
        Word::Serve(options) => serve::run(options),
        Word::Down(options) => down::run(&options),
        Word::RotateKey(options) => rotate::run(&options),
        Word::Ingress(options) => ingress_role::run(options),
        Word::Client(command) => return cli::run(command, json, &doctor::ThisMachine),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Memory holds keys and tokens; a crash must not write them to the disk.
fn forbid_core_files() {
    use nix::sys::resource::{Resource, setrlimit};
    // Lowering a limit is always allowed.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// One provider for everything that speaks TLS in this process; two of them would panic.
fn use_tls_provider() {
    // It fails only when one is installed already, which is then this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[expect(clippy::print_stderr, reason = "the one place where a role that serves tells why it ended")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
