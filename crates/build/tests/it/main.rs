//! Real builds with Debian's builder. Base images are made of programs of this machine; nothing is pulled.

mod closed;
mod endings;
mod failing;
mod greedy;
mod kept;
mod plain;
mod sources;
mod support;
mod variables;
