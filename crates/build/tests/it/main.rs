//! Real builds with Debian's builder. Base images are made of programs of this machine; nothing is pulled.

mod greedy;
mod plain;
mod support;
