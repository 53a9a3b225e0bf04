//! The page for people, and who is speaking.

use std::env;
use std::sync::atomic::AtomicBool;

/// What the application says about itself.
pub struct Page {
    text: String,
    app: String,
    release: String,
    instance: String,
    /// Whether its health path says so.
    pub is_sick: AtomicBool,
}

impl Page {
    pub fn from_environment() -> Self {
        let read = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        Page {
            text: read("HELLO_TEXT", "Your application is running."),
            app: read("DARSENA_APP", "hello"),
            release: read("DARSENA_RELEASE", "none"),
            instance: read("DARSENA_INSTANCE", "none"),
            is_sick: AtomicBool::new(false),
        }
    }

    /// The header lines of every answer.
    pub fn headers(&self) -> String {
        format!("x-release: {}\r\nx-instance: {}\r\n", self.release, self.instance)
    }

    pub fn html(&self) -> String {
        let (text, app, release) = (escape(&self.text), escape(&self.app), escape(&self.release));
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <title>{app}</title><style>body{{font:18px/1.6 system-ui,sans-serif;max-width:36rem;margin:20vh auto;\
             padding:0 1rem;color:#10344a;background:#f3f8fb}}h1{{font-size:2.4rem;margin:0}}code{{color:#4b6b7d}}\
             </style><h1>Ahoy from {app}</h1><p>{text}</p><p><code>release {release}</code></p></html>\n"
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
