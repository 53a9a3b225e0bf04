//! Images for the tests, at a real registry: the sample application in several shapes, nginx, and broken ones.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use testkit::image::{Built, Entry, Image, Index, Layer, Tar};
use testkit::registry::Good;

use crate::harness::{DARSENA, Installation, can_run};

/// An installation where the sample application is deployed as `shop`, the registry it came from and its
/// reference; `None` when the test cannot run here.
pub fn running_shop() -> Option<(Registry, String, Installation)> {
    if !can_run() {
        return None;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[("HELLO_TEXT", "the first one")]);
    let darsena = Installation::start(&[registry.address()]);
    darsena.run_ok(&["deploy", "shop", "--image", &image]);
    Some((registry, image, darsena))
}

/// Debian's `docker-registry` on a free port, ended with the test.
pub struct Registry {
    _registry: Good,
    address: String,
}

impl Registry {
    pub fn start() -> Self {
        let registry = Good::start().unwrap();
        let address = registry.host();
        Self { _registry: registry, address }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The sample application with these variables. Gives the reference.
    pub fn push_hello(&self, name: &str, env: &[(&str, &str)]) -> String {
        self.push(&hello(env), name)
    }

    /// The sample application with another entry point.
    pub fn push_with_entrypoint(&self, name: &str, program: &str) -> String {
        self.push(&Image::new().layer(hello_layer()).entrypoint(&[program]).build(), name)
    }

    /// The sample application and a file of so many bytes that do not compress.
    pub fn push_large(&self, name: &str, bytes: usize) -> String {
        let layer = Layer::plain(Tar::new().file("noise", noise(0, bytes), 0o644));
        self.push(&Image::new().layer(hello_layer()).layer(layer).entrypoint(&["/hello"]).build(), name)
    }

    /// The sample application with a layer that no other number has.
    pub fn push_numbered(&self, name: &str, number: usize) -> String {
        let own = Layer::gzip(Tar::new().file("number", format!("{number}\n"), 0o644));
        let text = format!("number {number}");
        let image = Image::new().layer(hello_layer()).layer(own).entrypoint(&["/hello"]);
        self.push(&image.user("65534:65534").env("HELLO_TEXT", &text).build(), name)
    }

    /// An index that holds linux/arm64 alone.
    pub fn push_for_arm64(&self, name: &str) -> String {
        let image =
            Image::new().layer(hello_layer()).platform("linux", "arm64").entrypoint(&["/hello"]).build();
        self.push(&Index::new().image(image).build(), name)
    }

    /// An image with a file that wants to lie outside of its layer.
    pub fn push_escaping(&self, name: &str) -> String {
        let outside = Entry::new(b'0', "../../../escaped").data("got out");
        let layer = Layer::gzip(Tar::new().entry(outside));
        self.push(&Image::new().layer(layer).entrypoint(&["/hello"]).build(), name)
    }

    /// Debian's busybox, with a shell: something to build on. Gives the reference.
    pub fn push_busybox(&self, name: &str) -> String {
        self.push_with_shell(name, |files| files)
    }

    /// The same with more in it.
    pub fn push_with_shell(&self, name: &str, more: fn(Tar) -> Tar) -> String {
        self.push(&busybox(more), name)
    }

    /// Debian's nginx with the libraries it needs and a page of its own.
    pub fn push_nginx(&self, name: &str) -> String {
        self.push_nginx_that_listens(name, "80")
    }

    /// The same with HTTP/2 and nothing else, as gRPC servers speak it.
    pub fn push_nginx_with_http2(&self, name: &str) -> String {
        self.push_nginx_that_listens(name, "80 http2")
    }

    fn push_nginx_that_listens(&self, name: &str, listen: &str) -> String {
        let config = format!(
            "daemon off;\nworker_processes 1;\npid /run/nginx.pid;\nerror_log /dev/stderr;\nevents {{}}\n\
             http {{ access_log /dev/stdout; server {{ listen {listen}; root /srv; }} }}\n"
        );
        let files = Tar::new()
            .host_program(Path::new("/usr/sbin/nginx"))
            .unwrap()
            .dir("etc", 0o755)
            .file("etc/nginx.conf", config, 0o644)
            .file("etc/passwd", "root:x:0:0::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n", 0o644)
            .file("etc/group", "root:x:0:\nnogroup:x:65534:\n", 0o644)
            .dir("run", 0o755)
            .dir("var", 0o755)
            .dir("var/log", 0o755)
            .dir("var/log/nginx", 0o755)
            .dir("var/lib", 0o755)
            .dir("var/lib/nginx", 0o755)
            .dir("srv", 0o755)
            .file("srv/index.html", "<h1>nginx of Debian in Darsena</h1>\n", 0o644);
        let image = Image::new()
            .layer(Layer::zstd(files))
            .entrypoint(&["/usr/sbin/nginx", "-c", "/etc/nginx.conf"])
            .stop_signal("SIGQUIT")
            .expose(80)
            .build();
        self.push(&image, name)
    }

    fn push(&self, image: &Built, name: &str) -> String {
        let (repository, tag) = name.split_once(':').expect("a test names its tag");
        image.push_blocking(&self.address, repository, tag).unwrap();
        format!("{}/{name}", self.address)
    }
}

/// Debian's busybox with a shell, and more.
pub fn busybox(more: fn(Tar) -> Tar) -> Built {
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.exists(), "{} is missing: install busybox-static", busybox.display());
    let applets = ["sh", "ls", "cat", "mkdir", "echo", "cp", "env", "id", "sleep"];
    let files = Tar::new()
        .dir("bin", 0o755)
        .host_file(busybox, "bin/busybox")
        .unwrap()
        .dir("tmp", 0o1777)
        .dir("etc", 0o755)
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", 0o644)
        .file("etc/group", "root:x:0:\nnogroup:x:65534:\n", 0o644);
    let files =
        applets.iter().fold(files, |files, applet| files.symlink(&format!("bin/{applet}"), "busybox"));
    Image::new().layer(Layer::gzip(more(files))).env("PATH", "/bin:/usr/bin").cmd(&["sh"]).build()
}

/// The sample application beside a layer of noise that is no other image's, so that deploying it pulls a layer.
/// `number` makes it different.
pub fn hello_with_noise(number: u64, bytes: usize) -> Built {
    let layer = Layer::plain(Tar::new().file("noise", noise(number, bytes), 0o644));
    let image = Image::new().layer(hello_layer()).layer(layer).entrypoint(&["/hello"]);
    image.user("65534:65534").expose(8080).build()
}

/// Bytes that do not compress.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed.wrapping_mul(0xd129_42f8_5b1c_a3e7);
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    noise.take(bytes / 8).flatten().collect()
}

/// The sample application as a tar in the OCI layout.
pub fn hello_archive(folder: &Path, env: &[(&str, &str)]) -> PathBuf {
    let archive = folder.join("hello.tar");
    hello(env).write_archive(&archive, "1").unwrap();
    archive
}

/// An address at which nothing listens, as far as one can know.
pub fn address_without_a_listener() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string()
}

/// The sample application with these variables.
pub fn hello(env: &[(&str, &str)]) -> Built {
    let image = Image::new().layer(hello_layer()).entrypoint(&["/hello"]).user("65534:65534").expose(8080);
    env.iter().fold(image, |image, (name, value)| image.env(name, value)).build()
}

fn hello_layer() -> Layer {
    let target = Path::new(DARSENA).ancestors().nth(2).expect("the binary lies in target/PROFILE/");
    let program = target.join("x86_64-unknown-linux-gnu/debug/hello");
    assert!(program.exists(), "{} is missing; `make e2e` builds it", program.display());
    Layer::gzip(Tar::new().host_file(&program, "hello").unwrap())
}
