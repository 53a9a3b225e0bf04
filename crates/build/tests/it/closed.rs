//! What a build can see and do.

use std::fs;
use std::os::unix::fs::symlink;

use testkit::image::{Image, Layer, Tar};

use crate::support::{Bench, first_id, image_holds, is_root};

/// A folder of the host that nobody but root may read, with a secret.
const MARK: &str = "a secret of the host 7d1c";

#[tokio::test]
async fn a_link_of_the_repository_does_not_reach_the_host() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let secret = bench.folder.join("secret");
    fs::write(&secret, MARK).unwrap();
    let shadow = fs::read_to_string("/etc/shadow").unwrap_or_default();
    let root_line = shadow.lines().next().unwrap_or("root:").to_owned();
    for text in
        ["FROM tools:1\nCOPY . /all/\nRUN cat /all/* || true\n", "FROM tools:1\nCOPY shadow secret /all/\n"]
    {
        let order = bench.order(&[("Dockerfile", text)]);
        symlink("/etc/shadow", order.checkout.join("shadow")).unwrap();
        symlink(&secret, order.checkout.join("secret")).unwrap();
        symlink("../../../../../../../../etc", order.checkout.join("up")).unwrap();
        bench.around.take_news();
        if let Ok(built) = bench.build(&order).await {
            assert!(!image_holds(&built.layout, MARK));
            assert!(!image_holds(&built.layout, &root_line), "the host's passwords are in the image");
        }
        assert!(bench.around.lines().iter().all(|line| !line.contains(MARK) && !line.contains(&root_line)));
    }
}

#[tokio::test]
async fn a_step_finds_nothing_of_the_host() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    fs::write(bench.folder.join("secret"), MARK).unwrap();
    let data = bench.folder.display().to_string();
    let text = format!(
        "FROM tools:1\n\
         RUN id; echo ids $(cat /proc/self/uid_map)\n\
         RUN for p in /proc/[0-9]*; do echo process $(cat $p/cmdline | grep -a -o '[a-z/-]*' || true); done; \\\n\
           cat /proc/*/environ > /environs 2>/dev/null; \\\n\
           grep -a -c -e DARSENA -e CARGO /environs || echo no variables\n\
         RUN ls / && ls {data} || echo no data\n\
         RUN cat /proc/1/root{data}/secret || echo no secret\n\
         RUN cat /etc/shadow || echo no shadow\n\
         RUN find / -xdev -name 'storage.conf' -o -xdev -name 'volume' 2>/dev/null; echo looked\n\
         RUN cat /proc/self/mountinfo\n\
         RUN (echo 1 > /proc/sys/kernel/sysrq) || echo no sysctl\n\
         RUN (mkdir /sys/fs/cgroup/out) || echo no group\n\
         RUN cat /proc/self/status\n"
    );
    bench.build(&bench.order(&[("Dockerfile", &text)])).await.unwrap();
    let lines = bench.around.lines();
    for wanted in [
        "no variables",
        "no data",
        "no secret",
        "no shadow",
        "no sysctl",
        "no group",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(lines.iter().any(|line| line.contains(wanted)), "{wanted} in {lines:#?}");
    }
    let ids = format!("ids 0 {} 65536", first_id(&bench.folder));
    assert!(lines.contains(&ids), "{lines:#?}");
    let capabilities = lines.iter().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    let capabilities = u64::from_str_radix(capabilities, 16).unwrap();
    // CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_PTRACE, CAP_MKNOD
    for bit in [21, 12, 13, 19, 27] {
        assert_eq!(capabilities >> bit & 1, 0, "capability {bit}");
    }
    let seen = lines.iter().filter(|line| !line.contains("No such file"));
    assert!(seen.clone().all(|line| !line.contains(&data) && !line.contains(MARK)), "{lines:#?}");
    assert!(lines.iter().filter(|line| line.starts_with("process ")).all(|line| !line.contains("buildah")));
}

/// CVE-2024-1753: Debian's builder follows a link when it binds a folder into a step.
#[tokio::test]
async fn a_link_that_is_bound_leads_into_the_room_and_no_further() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let root = Image::new().layer(Layer::gzip(Tar::new().symlink("root", "/").file("a", "a", 0o644))).build();
    bench.around.offer("docker.io/library/linked:1", root);
    fs::write(bench.folder.join("secret"), MARK).unwrap();
    let data = bench.folder.display();
    let text = format!(
        "FROM tools:1\n\
         RUN --mount=type=bind,from=linked:1,source=/root,target=/mnt,rw \\\n\
           ls /mnt /mnt{data}; cat /mnt{data}/secret /mnt/etc/shadow || echo not of the host; \\\n\
           cat /mnt/proc/1/environ /mnt/proc/1/mem || echo not of its keeper; \\\n\
           touch /mnt/out/image || echo not written; touch /mnt/usr/a || echo not changed\n"
    );
    let built = bench.build(&bench.order(&[("Dockerfile", &text)])).await.unwrap();
    assert!(!image_holds(&built.layout, MARK));
    let lines = bench.around.lines();
    for wanted in ["not of the host", "not of its keeper", "not written", "not changed"] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} in {lines:#?}");
    }
    assert!(lines.iter().all(|line| !line.contains(MARK)), "{lines:#?}");
}
