//! The server of plain files: Caddy, because one small official image serves a folder with the right types,
//! compressed, without listing folders, on a port that is named by a variable, and as no particular user.

use super::text::{Text, USER};
use super::{Bases, start::Start};

const IMAGE: &str = "caddy:2.10-alpine";

/// What is answered where no file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// 404.
    NotFound,
    /// The site's own `404.html`.
    OwnPage,
    /// `index.html`, whose script knows all pages.
    Index,
}

/// The last stage: a server for a folder. `copied` says after `COPY` which.
pub fn serve(text: Text, bases: &Bases, copied: &str, missing: Missing, start: Option<&Start>) -> Text {
    let mut lines = vec![
        "RUN printf '%s\\n'",
        "    '{'",
        "    '  admin off'",
        "    '  auto_https off'",
        "    '}'",
        "    ':{$PORT} {'",
        "    '  root * /srv'",
        "    '  encode zstd gzip'",
    ];
    lines.push(match missing {
        Missing::Index => "    '  try_files {path} {path}.html {path}/index.html /index.html'",
        Missing::NotFound | Missing::OwnPage => "    '  try_files {path} {path}.html'",
    });
    // Files whose name begins with a dot are not for the public, but `.well-known` is.
    lines.extend(["    '  file_server {'", "    '    hide .[^w]*'", "    '  }'"]);
    if missing == Missing::OwnPage {
        lines.extend([
            "    '  handle_errors {'",
            "    '    rewrite * /404.html'",
            "    '    file_server'",
            "    '  }'",
        ]);
    }
    lines.push("    '}' > /etc/caddy/Caddyfile");
    let own = Start::words(&["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]);
    text.stage(&bases.image(IMAGE), None)
        // Caddy notes its configuration, and nobody but root may write where the image has it do so.
        .line("ENV PORT=8080 XDG_CONFIG_HOME=/tmp XDG_DATA_HOME=/tmp")
        .long(&lines)
        .line(format!("COPY {copied} /srv"))
        .line(format!("USER {USER}"))
        .line("EXPOSE 8080")
        .line(start.unwrap_or(&own).instruction())
}
