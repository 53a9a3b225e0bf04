//! Layers that want out, or too much. Whatever they do, nothing outside their own folder changes.

use std::fs;
use std::path::Path;

use model::FailureCode;
use model::image::Reference;
use testkit::image::{Built, Entry, Image, Layer, Tar, sign};

use crate::support::{Bench, is_root, listing};
use crate::trees::unpacked;

/// Loads an image and says how it was refused.
async fn refusal(image: Built) -> (FailureCode, String) {
    let bench = Bench::new(&[]);
    let layout = bench.folder.path().join("layout");
    image.write_layout(&layout, "1").unwrap();
    let name = Reference::parse("localhost/x:1").unwrap();
    let error = bench.store.load(&layout, &name).await.expect_err("the layer is refused");
    bench.is_clean();
    assert!(!error.to_string().contains(|c: char| c.is_control()), "{error}");
    (error.code(), error.to_string())
}

async fn refuses(what: &str, tar: Tar, says: &str) {
    refuses_bytes(what, &tar.finish(), says).await;
}

async fn refuses_bytes(what: &str, tar: &[u8], says: &str) {
    let (code, text) = refusal(Image::new().layer(Layer::gzip_of(tar)).build()).await;
    assert_eq!(code, FailureCode::LayerInvalid, "{what}: {text}");
    assert!(text.contains(says), "{what}: {text:?} does not say {says:?}");
}

/// A folder beside the store with a file that must stay as it is.
struct Outside {
    folder: tempfile::TempDir,
}

impl Outside {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        fs::write(folder.path().join("dir/secret"), "secret").unwrap();
        Self { folder }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// As many steps up as lead to the root from anywhere, then here.
    fn up(&self) -> String {
        format!("{}{}", "../".repeat(20), &self.path()[1..])
    }

    #[track_caller]
    fn is_untouched(&self) {
        let listed = listing(self.folder.path());
        assert_eq!(listed, ["dir d755 0:0", "dir/secret f644 0:0 = \"secret\""]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_that_lead_out_are_refused_by_name() {
    if !is_root() {
        return;
    }
    for name in ["../../etc/passwd", "..", "a/../../x", "/../x"] {
        refuses(name, Tar::new().file(name, "x", 0o644), name).await;
    }
    refuses("no name", Tar::new().file("", "x", 0o644), "without a name").await;
    refuses("root as a file", Tar::new().file("./.", "x", 0o644), "only a directory").await;
    refuses("NUL", Tar::new().entry(Entry::new(b'0', "x").pax("path", &b"a\0b"[..])), "path is broken").await;
    refuses("wide", Tar::new().file(&"x".repeat(256), "", 0o644), "255 bytes").await;
    refuses("long", Tar::new().file(&"x/".repeat(2100), "", 0o644), "4096 bytes").await;
    refuses("deep", Tar::new().file(&"x/".repeat(300), "", 0o644), "256 directories").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn symbolic_links_lead_to_places_inside() {
    if !is_root() {
        return;
    }
    let outside = Outside::new();
    let up = outside.up();
    let targets = [
        outside.path().to_owned(),
        up,
        format!("..{}{}", "/..".repeat(30), outside.path()),
        "/proc/1/root".to_owned(),
    ];
    for target in &targets {
        let tar = Tar::new()
            .symlink("link", target)
            .file("link/dir/secret", "changed", 0o666)
            .file("link/new", "new", 0o666)
            .dir("link/dir", 0o777)
            .file("link/dir/.wh.secret2", "", 0o644)
            .symlink("a", "b")
            .symlink("b", target)
            .file("a/through/two", "x", 0o644);
        let (_bench, files) = unpacked(tar).await;
        outside.is_untouched();
        let link = fs::symlink_metadata(files.join("link")).unwrap();
        assert!(link.is_symlink(), "{target}");
        let inside = listing(&files);
        assert!(inside.iter().any(|line| line.contains("through/two")), "{inside:#?}");
    }
    assert!(!Path::new("/proc/1/root/new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_never_go_through_a_link_of_their_own_name() {
    if !is_root() {
        return;
    }
    let outside = Outside::new();
    let secret = format!("{}/dir/secret", outside.path());
    let dir = format!("{}/dir", outside.path());
    let tar = Tar::new()
        .symlink("file", &secret)
        .file("file", "mine", 0o4777)
        .symlink("dir", &dir)
        .dir("dir", 0o777)
        .symlink("pipe", &secret)
        .entry(Entry::new(b'6', "pipe").mode(0o777).owner(9, 9))
        .symlink("gone", &secret)
        .file(".wh.gone", "", 0o644)
        .symlink("linked", &secret)
        .hardlink("hard", "linked")
        .entry(Entry::new(b'1', "hard-too").link("linked").mode(0o777).owner(9, 9));
    let (_bench, files) = unpacked(tar).await;
    outside.is_untouched();
    let listed = listing(&files);
    assert!(listed.contains(&"file f4777 0:0 = \"mine\"".to_owned()), "{listed:#?}");
    assert!(listed.contains(&"dir d777 0:0".to_owned()), "{listed:#?}");
    assert!(listed.contains(&"pipe p777 9:9".to_owned()), "{listed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hard_links_reach_nothing_outside() {
    if !is_root() {
        return;
    }
    let outside = Outside::new();
    let secret = format!("{}/dir/secret", outside.path());
    refuses("absolute", Tar::new().hardlink("x", &secret), "not in this layer").await;
    refuses("upwards", Tar::new().hardlink("x", &format!("{}/dir/secret", outside.up())), "leads out").await;
    let through = Tar::new().symlink("link", outside.path()).hardlink("x", "link/dir/secret");
    refuses("through a link", through, "not in this layer").await;
    refuses("to a directory", Tar::new().dir("d", 0o755).hardlink("x", "d"), "to a directory").await;
    refuses("to itself", Tar::new().file("x", "", 0o644).hardlink("x", "x"), "to itself").await;
    refuses("to nothing", Tar::new().hardlink("x", "missing"), "missing").await;
    refuses("in a circle", Tar::new().hardlink("x", "y").hardlink("y", "x"), "not in this layer").await;
    refuses("to the root", Tar::new().hardlink("x", "/"), "to the root").await;
    let whiteout = Tar::new().file(".wh.gone", "", 0o644).hardlink("x", "gone");
    refuses("to a whiteout", whiteout, "not in this layer").await;
    outside.is_untouched();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_in_circles_and_files_in_the_way_are_refused() {
    if !is_root() {
        return;
    }
    refuses(
        "circle",
        Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", "", 0o644),
        "too many symbolic links",
    )
    .await;
    refuses("file", Tar::new().file("a", "", 0o644).file("a/x", "", 0o644), "where a directory is needed")
        .await;
    let mut deep = Tar::new();
    let step = "d/".repeat(200);
    for round in 0..4 {
        let above = if round == 0 { String::new() } else { format!("s{}/", round - 1) };
        deep = deep
            .dir(&format!("{above}{step}"), 0o755)
            .symlink(&format!("s{round}"), &format!("/{above}{step}"));
    }
    refuses("deep by links", deep, "too deep").await;
    let long = Tar::new().entry(Entry::new(b'2', "l").link("x".repeat(5000)));
    refuses("a long target", long, "too long").await;
    refuses("an empty target", Tar::new().symlink("l", ""), "empty").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whiteouts_that_name_nothing_are_refused() {
    if !is_root() {
        return;
    }
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh..."] {
        refuses(name, Tar::new().dir("a", 0o755).file(name, "", 0o644), "names nothing").await;
    }
    refuses("directory", Tar::new().dir(".wh.a", 0o755), "no file").await;
    refuses("link", Tar::new().symlink(".wh.a", "/"), "no file").await;
    refuses("in a path", Tar::new().file(".wh.a/b", "", 0o644), "cannot be a directory").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_that_can_be_read_in_two_ways_are_refused() {
    if !is_root() {
        return;
    }
    let hidden = Tar::new().file("hidden", "x", 0o644).unfinished();
    // The extended size counts: the hidden entry is content (TARmageddon), and the other way round.
    let entry = Entry::new(b'0', "outer").size(0).data(hidden.clone()).pax("size", hidden.len().to_string());
    let (_bench, files) = unpacked(Tar::new().entry(entry)).await;
    assert_eq!(listing(&files).len(), 1);
    assert_eq!(fs::read(files.join("outer")).unwrap(), hidden);
    let inverse = Entry::new(b'0', "outer").size(hidden.len() as u64).pax("size", "0");
    let (_bench, files) = unpacked(Tar::new().entry(inverse).raw(&hidden)).await;
    assert_eq!(listing(&files).len(), 2);

    let long = |kind: u8, data: &[u8]| Entry::new(kind, "././@LongLink").data(data);
    let file = || Entry::new(b'0', "f").data("x");
    let pax = |data: &[u8]| Entry::new(b'x', "pax").data(data);
    for (what, tar, says) in [
        ("pax alone", Tar::new().plain(&pax(b"9 path=a\n")), "without an entry"),
        ("long name alone", Tar::new().plain(&long(b'L', b"name\0")), "without an entry"),
        (
            "two long names",
            Tar::new().plain(&long(b'L', b"a\0")).plain(&long(b'L', b"b\0")).plain(&file()),
            "say the same",
        ),
        (
            "pax and long name",
            Tar::new().plain(&pax(b"9 path=a\n")).plain(&long(b'L', b"b\0")).plain(&file()),
            "say the same",
        ),
        ("broken pax", Tar::new().plain(&pax(b"99 path=a\n")).plain(&file()), "extended header is broken"),
        ("huge pax", Tar::new().plain(&Entry::new(b'x', "pax").size(1 << 30)), "larger than 1 MiB"),
        ("huge name", Tar::new().plain(&Entry::new(b'L', "x").size(1 << 30)), "larger than 1 MiB"),
        ("sparse", Tar::new().entry(file().pax("GNU.sparse.major", "1")), "sparse"),
        ("old sparse", Tar::new().plain(&Entry::new(b'S', "f")), "type 'S'"),
        ("volume", Tar::new().plain(&Entry::new(b'V', "f")), "type 'V'"),
        ("contiguous", Tar::new().plain(&Entry::new(b'7', "f")), "type '7'"),
        ("unknown", Tar::new().plain(&Entry::new(b'?', "f")), "type '?'"),
        ("link with data", Tar::new().plain(&Entry::new(b'1', "l").link("f").data("x")), "cannot have any"),
        ("directory with data", Tar::new().plain(&Entry::new(b'5', "d").data("x")), "cannot have any"),
        ("owner -1", Tar::new().entry(Entry::new(b'0', "f").owner(u64::from(u32::MAX), 0)), "too large"),
        ("owner 2^40", Tar::new().entry(Entry::new(b'0', "f").owner(1 << 40, 0)), "too large"),
        ("device 2^20", Tar::new().plain(&Entry::new(b'3', "f").device(1 << 20, 0)), "cannot exist"),
        ("cut", Tar::new().plain(&Entry::new(b'0', "f").size(5000).data("x")), "ends in the middle"),
    ] {
        refuses(what, tar, says).await;
    }
    let mut wrong_sum = Entry::new(b'0', "f").header();
    wrong_sum[0] = b'g';
    refuses("checksum", Tar::new().raw(&wrong_sum), "checksum").await;
    let mut negative = Entry::new(b'0', "f").header();
    negative[124..136].fill(0xff);
    sign(&mut negative);
    refuses("negative size", Tar::new().raw(&negative), "no number").await;
    refuses("no tar", Tar::new().raw(&[b'x'; 4096]), "no tar").await;
    refuses_bytes("half a header", &[b'x'; 100], "middle of a header").await;
    let global = Entry::new(b'g', "pax").data(&b"16 path=renamed\n"[..]);
    let (_bench, files) = unpacked(Tar::new().plain(&global).plain(&file())).await;
    assert_eq!(listing(&files), ["f f644 0:0 = \"x\""], "a global header counts for nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_end_a_layer_that_wants_too_much() {
    if !is_root() {
        return;
    }
    for (tar, says) in [
        (Tar::new().file("zeros", vec![0; 3 << 20], 0o644), "more than 1048576 bytes"),
        ((0..101).fold(Tar::new(), |tar, n| tar.file(&format!("f{n}"), "", 0o644)), "more than 100 files"),
        (Tar::new().file(&"d/".repeat(120), "", 0o644), "more than 100 files"),
    ] {
        let bench = Bench::with(&[], |config| {
            config.limits.unpacked_bytes = 1 << 20;
            config.limits.entries = 100;
        });
        let layout = bench.folder.path().join("layout");
        Image::new().layer(Layer::gzip(tar)).build().write_layout(&layout, "1").unwrap();
        let error = bench.store.load(&layout, &Reference::parse("localhost/x:1").unwrap()).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::LayerInvalid, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        bench.is_clean();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_with_another_content_than_promised_is_never_kept() {
    if !is_root() {
        return;
    }
    let mut layer = Layer::gzip(Tar::new().file("a", "b", 0o644));
    layer.diff_id = testkit::image::digest(b"something else");
    let (code, text) = refusal(Image::new().layer(layer).build()).await;
    assert_eq!(code, FailureCode::DigestMismatch, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_layers_of_an_image_share_one_limit() {
    if !is_root() {
        return;
    }
    let layer = |n: u8| Layer::gzip(Tar::new().file("zeros", vec![n; 300 << 10], 0o644));
    let image = |count| (0..count).fold(Image::new(), |image, n| image.layer(layer(n))).build();
    for parallel in [1, 4] {
        let bench = Bench::with(&[], |config| {
            config.limits.unpacked_bytes = 1 << 20;
            config.parallel_layers = parallel;
        });
        let load = async |count| {
            let layout = tempfile::tempdir().unwrap();
            image(count).write_layout(layout.path(), "1").unwrap();
            bench.store.load(layout.path(), &Reference::parse("localhost/x:1").unwrap()).await
        };
        load(3).await.unwrap();
        // What came with another try, or another image, counts as well.
        for _ in 0..2 {
            let error = load(4).await.unwrap_err();
            assert_eq!(error.code(), FailureCode::LayerInvalid, "{error}");
            assert!(error.to_string().contains("limit"), "{error}");
        }
        bench.tmp_becomes_empty();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_implies_only_so_many_names() {
    if !is_root() {
        return;
    }
    let long = "x".repeat(250);
    let path = |n: u32| format!("{n}/{}", [&*long; 10].join("/"));
    // Each path implies directories whose names have about 15 KiB.
    let tar = |count| (0..count).fold(Tar::new(), |tar, n| tar.file(&path(n), "", 0o644));
    refuses("implied", tar(200), "2 MiB of their names").await;
    unpacked(tar(100)).await;
    let opaque =
        (0..600).fold(Tar::new(), |tar, n| tar.file(&format!("{}/.wh..wh..opq", path(n)), "", 0o644));
    refuses("opaque", opaque, "2 MiB of their names").await;
}
