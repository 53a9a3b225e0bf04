//! What a layer's files become: one layer, its entries in any order, odd but right.

use std::os::unix::fs::MetadataExt;

use testkit::image::{Entry, Image, Layer, Tar};

use crate::support::{Bench, is_root, listing};

/// Loads an image of one layer and lists its files.
pub async fn unpacked(tar: Tar) -> (Bench, std::path::PathBuf) {
    let bench = Bench::new(&[]);
    let folder = bench.folder.path().join("layout");
    Image::new().layer(Layer::gzip(tar)).build().write_layout(&folder, "1").unwrap();
    let name = model::image::Reference::parse("localhost/x:1").unwrap();
    bench.store.load(&folder, &name).await.unwrap();
    let (_, rootfs) = bench.pull("localhost/x:1").await.unwrap();
    let files = bench.files(&rootfs, 0);
    (bench, files)
}

#[track_caller]
fn is(listed: &[String], expected: &[&str]) {
    assert_eq!(listed, expected);
}

fn opaque(path: &std::path::Path) -> bool {
    let mut value = [0_u8; 4];
    rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value[..])
        .is_ok_and(|length| &value[..length] == b"y")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whiteouts_hide_what_is_below_and_never_what_is_beside() {
    if !is_root() {
        return;
    }
    // The same entries in both orders.
    let markers = |tar: Tar| {
        tar.file("d/.wh..wh..opq", "", 0o644)
            .file(".wh.file", "", 0o644)
            .file(".wh.dir", "", 0o644)
            .file("deep/er/.wh.gone", "", 0o644)
            .file(".wh..wh.plnk", "", 0o644)
            .file(".wh.implied", "", 0o644)
            .file("weight/.wh.x", "content", 0o644)
    };
    let entries = |tar: Tar| {
        tar.dir("d", 0o755)
            .file("d/new", "new", 0o644)
            .file("file", "kept", 0o644)
            .dir("dir", 0o755)
            .file("dir/in", "in", 0o644)
            .file("implied/in", "in", 0o644)
    };
    for tar in [entries(markers(Tar::new())), markers(entries(Tar::new()))] {
        let (_bench, files) = unpacked(tar).await;
        is(
            &listing(&files),
            &[
                "d d755 0:0",
                "d/new f644 0:0 = \"new\"",
                "deep d755 0:0",
                "deep/er d755 0:0",
                "deep/er/gone w0 0:0",
                "dir d755 0:0",
                "dir/in f644 0:0 = \"in\"",
                "file f644 0:0 = \"kept\"",
                "implied d755 0:0",
                "implied/in f644 0:0 = \"in\"",
                "weight d755 0:0",
                "weight/x w0 0:0",
            ],
        );
        assert!(opaque(&files.join("d")), "marked by itself");
        assert!(opaque(&files.join("dir")), "what was below the directory is gone");
        assert!(opaque(&files.join("implied")));
        assert!(!opaque(&files.join("deep")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_entry_of_a_name_wins() {
    if !is_root() {
        return;
    }
    let tar = Tar::new()
        .file("a", "first", 0o644)
        .file("a", "second", 0o600)
        .dir("b", 0o755)
        .file("b/in", "x", 0o644)
        .file("b", "now a file", 0o644)
        .dir("b", 0o700)
        .file("c", "x", 0o644)
        .symlink("c", "a")
        .dir("e", 0o755)
        .file("e/kept", "x", 0o644)
        .dir("e", 0o711)
        .symlink("f", "e")
        .dir("f", 0o755);
    let (_bench, files) = unpacked(tar).await;
    is(
        &listing(&files),
        &[
            "a f600 0:0 = \"second\"",
            "b d700 0:0",
            "c l777 0:0 -> a",
            "e d711 0:0",
            "e/kept f644 0:0 = \"x\"",
            "f d755 0:0",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hard_links_may_come_before_their_files() {
    if !is_root() {
        return;
    }
    let tar = Tar::new()
        .hardlink("chain", "early")
        .hardlink("early", "file")
        .hardlink("taken", "file")
        .file("taken", "its own", 0o644)
        .file("file", "x", 0o640)
        .hardlink("late", "./file")
        .hardlink("absolute", "/file")
        .symlink("link", "file")
        .hardlink("link-too", "link");
    let (_bench, files) = unpacked(tar).await;
    let inode = |name: &str| std::fs::symlink_metadata(files.join(name)).unwrap().ino();
    for name in ["chain", "early", "late", "absolute"] {
        assert_eq!(inode(name), inode("file"), "{name}");
    }
    assert_ne!(inode("taken"), inode("file"));
    assert_eq!(inode("link-too"), inode("link"), "a link to a link is that link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_owners_and_times_are_kept_exactly() {
    if !is_root() {
        return;
    }
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(255));
    let tar = Tar::new()
        .entry(Entry::new(b'0', &b"caf\xe9"[..]).data("latin"))
        .file("CASE", "a", 0o644)
        .file("case", "b", 0o644)
        .file(&long, "x", 0o644)
        .file("C:\\x", "x", 0o644)
        .entry(Entry::new(b'0', "id").owner(4_000_000_000, 70_000).mode(0o7777))
        .entry(Entry::new(b'0', "pax").pax("mtime", "-1.5").pax("uid", "5").pax("gid", "6"))
        .entry(Entry::new(b'5', "dated").mode(0o755))
        .file("dated/in", "x", 0o644)
        .entry(Entry::new(b'6', "pipe").mode(0o600).owner(3, 4))
        .entry(Entry::new(b'0', "./dot/./file").data("x"))
        .entry(Entry::new(b'0', "/absolute").data("x"))
        .entry(Entry::new(b'0', "up/../beside").data("x"));
    let (_bench, files) = unpacked(tar).await;
    let listed = listing(&files);
    for line in [
        "CASE f644 0:0 = \"a\"",
        "case f644 0:0 = \"b\"",
        "C:\\x f644 0:0 = \"x\"",
        "id f7777 4000000000:70000 = \"\"",
        "pipe p600 3:4",
        "dot/file f644 0:0 = \"x\"",
        "absolute f644 0:0 = \"x\"",
        "beside f644 0:0 = \"x\"",
        "pax f644 5:6 = \"\"",
    ] {
        assert!(listed.iter().any(|known| known == line), "{line} is not in {listed:#?}");
    }
    assert!(files.join(&long).exists());
    use std::os::unix::ffi::OsStrExt;
    assert!(files.join(std::ffi::OsStr::from_bytes(b"caf\xe9")).exists());
    let time = |name: &str| std::fs::symlink_metadata(files.join(name)).unwrap();
    assert_eq!((time("pax").mtime(), time("pax").mtime_nsec()), (-2, 500_000_000));
    assert_eq!(time("dated").mtime(), 1_700_000_000, "set after the files in it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attributes_that_would_steer_the_mount_are_left_out() {
    if !is_root() {
        return;
    }
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let tar = Tar::new()
        .entry(
            Entry::new(b'0', "file")
                .xattr("security.capability", &capability[..])
                .xattr("user.note", "hello")
                .xattr("trusted.overlay.metacopy", "")
                .xattr("trusted.other", "x")
                .xattr("user.overlay.redirect", "/etc")
                .xattr("security.selinux", "x"),
        )
        .entry(
            Entry::new(b'5', "dir")
                .mode(0o755)
                .xattr("trusted.overlay.opaque", "y")
                .xattr("trusted.overlay.redirect", "/../../x")
                .xattr("user.overlay.opaque", "y"),
        );
    let (_bench, files) = unpacked(tar).await;
    let names = |name: &str| {
        let mut buffer = vec![0_u8; 4096];
        let length = rustix::fs::llistxattr(files.join(name), &mut buffer[..]).unwrap();
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let mut names: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(names("file"), ["security.capability", "user.note"]);
    assert_eq!(names("dir"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_not_made_and_cannot_pass_for_whiteouts() {
    if !is_root() {
        return;
    }
    let tar = Tar::new()
        .dir("dev", 0o755)
        .entry(Entry::new(b'3', "dev/whiteout").device(0, 0))
        .entry(Entry::new(b'3', "dev/mem").device(1, 1))
        .entry(Entry::new(b'4', "dev/disk").device(8, 0));
    let (_bench, files) = unpacked(tar).await;
    is(&listing(&files), &["dev d755 0:0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_layers_are_layers() {
    if !is_root() {
        return;
    }
    for layer in [
        Layer::gzip(Tar::new()),
        Layer::plain(Tar::new()),
        Layer::of(b"", Vec::new(), "application/vnd.oci.image.layer.v1.tar"),
        Layer::gzip_of(&Tar::new().file("a", "b", 0o644).unfinished()),
    ] {
        let bench = Bench::new(&[]);
        let folder = bench.folder.path().join("layout");
        Image::new().layer(layer).build().write_layout(&folder, "1").unwrap();
        let name = model::image::Reference::parse("localhost/x:1").unwrap();
        bench.store.load(&folder, &name).await.unwrap();
    }
}

/// The layers as the kernel shows them over each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_lie_over_each_other_as_the_image_says() {
    if !is_root() {
        return;
    }
    let base = Tar::new()
        .dir("etc", 0o755)
        .file("etc/kept", "base", 0o644)
        .file("etc/gone", "x", 0o644)
        .file("etc/changed", "base", 0o644)
        .dir("cache", 0o755)
        .file("cache/old", "x", 0o644)
        .dir("swapped", 0o755)
        .file("swapped/old", "x", 0o644);
    let top = Tar::new()
        .file("etc/.wh.gone", "", 0o644)
        .file("etc/changed", "top", 0o644)
        .file("cache/.wh..wh..opq", "", 0o644)
        .file("cache/new", "x", 0o644)
        .dir("swapped", 0o755)
        .file("swapped/new", "x", 0o644)
        .file(".wh.swapped", "", 0o644);
    let bench = Bench::new(&[]);
    let layout = bench.folder.path().join("layout");
    let image = Image::new().layer(Layer::gzip(base)).layer(Layer::zstd(top));
    image.build().write_layout(&layout, "1").unwrap();
    let name = model::image::Reference::parse("localhost/x:1").unwrap();
    bench.store.load(&layout, &name).await.unwrap();
    let (_, rootfs) = bench.pull("localhost/x:1").await.unwrap();

    let merged = bench.folder.path().join("merged");
    std::fs::create_dir(&merged).unwrap();
    let (lower, upper) = (bench.files(&rootfs, 0), bench.files(&rootfs, 1));
    let options = format!("lowerdir={}:{}", upper.display(), lower.display());
    let options = std::ffi::CString::new(options).unwrap();
    rustix::mount::mount("overlay", &merged, "overlay", rustix::mount::MountFlags::RDONLY, Some(&*options))
        .unwrap();
    let listed = std::panic::catch_unwind(|| listing(&merged));
    rustix::mount::unmount(&merged, rustix::mount::UnmountFlags::DETACH).unwrap();
    is(
        &listed.unwrap(),
        &[
            "cache d755 0:0",
            "cache/new f644 0:0 = \"x\"",
            "etc d755 0:0",
            "etc/changed f644 0:0 = \"top\"",
            "etc/kept f644 0:0 = \"base\"",
            "swapped d755 0:0",
            "swapped/new f644 0:0 = \"x\"",
        ],
    );
}
