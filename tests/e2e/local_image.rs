//! An image from a file, with no registry between.

use crate::harness::{Installation, can_run};
use crate::sources;

#[test]
fn a_loaded_image_is_deployed_without_a_registry() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let archive = sources::hello_archive(folder.path(), &[("HELLO_TEXT", "from a file")]);
    let darsena = Installation::start(&[]);
    let data = darsena.data().to_str().unwrap();
    darsena.run_ok(&["images", "load", "--data", data, archive.to_str().unwrap(), "localhost/hello:1"]);
    darsena.run_ok(&["deploy", "hello", "--image", "localhost/hello:1"]);
    assert!(darsena.get("hello.localhost", "/").1.contains("from a file"));

    let words = darsena.run_failing(&["deploy", "other", "--image", "localhost/other:1"]);
    assert!(words.contains("no image of that name is loaded"), "{words}");
}
