//! What tests run inside containers: says what it sees, tries what is forbidden, misbehaves on request.
//!
//! It is compiled by the tests themselves, without any crate and statically, because a container of theirs has
//! no C library.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn signal(signal: c_int, handler: usize) -> usize;
    fn gethostname(name: *mut c_char, length: usize) -> c_int;
    fn fork() -> c_int;
    fn setsid() -> c_int;
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    if words.first() == Some(&"when-told") {
        std::io::stdin().read_line(&mut String::new()).unwrap();
        words.remove(0);
    }
    if let Some((_, verb)) = args[0].rsplit_once("/hangs-at-") {
        stand_in_for_the_runtime(verb, &words);
    }
    match words.as_slice() {
        ["look"] => look(),
        ["try"] => try_what_is_forbidden(),
        ["exit", code] => {
            println!("going with {code}");
            std::process::exit(code.parse().unwrap());
        }
        ["say", lines @ ..] => lines.iter().for_each(|line| println!("{line}")),
        ["both"] => {
            println!("to stdout");
            eprintln!("to stderr");
            print!("no line end");
        }
        ["spam", count] => spam(count.parse().unwrap()),
        ["serve", address] => serve(address, false),
        ["serve-forever", address] => serve(address, true),
        // Where no answer is expected one does not wait for long.
        ["connect", addresses @ ..] => {
            addresses.iter().for_each(|address| connect(address, Duration::from_millis(700)));
        }
        ["reach", address] => connect(address, Duration::from_secs(20)),
        ["eat", megabytes] => eat(megabytes.parse().unwrap()),
        ["forks"] => forks(),
        ["sleep"] => sleep_for_ever(),
        ["crash"] => std::process::abort(),
        ["ps"] => ps(),
        ["hang", depth] => hang(depth.parse().unwrap()),
        ["leave", words @ ..] => leave(words),
        ["flood"] => flood(),
        ["tick"] => tick(),
        ["long-line", length] => print!("{}", "x".repeat(length.parse().unwrap())),
        ["spam-and-serve", count, address] => {
            spam(count.parse().unwrap());
            serve(address, false);
        }
        ["eat-in-child", megabytes] => eat_in_child(megabytes.parse().unwrap()),
        ["bomb"] => bomb(),
        ["threads"] => threads(),
        ["files", count] => files(count.parse().unwrap()),
        ["zombies"] => zombies(),
        ["daemon"] => daemon(),
        ["cat", paths @ ..] => paths.iter().for_each(|path| cat(path)),
        ["dir", path] => dir(path),
        ["reopen"] => {
            for name in ["/dev/stdout", "/dev/stderr"] {
                let mut file = std::fs::OpenOptions::new().write(true).open(name).unwrap();
                writeln!(file, "to {name}").unwrap();
            }
        }
        other => panic!("unknown: {other:?}"),
    }
}

/// The OCI runtime, but for one word of its command line, at which it hangs.
fn stand_in_for_the_runtime(verb: &str, words: &[&str]) -> ! {
    use std::os::unix::process::CommandExt;
    if words.contains(&verb) {
        sleep_for_ever();
    }
    panic!("{}", std::process::Command::new("/usr/sbin/runc").args(words).exec());
}

fn look() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines() {
        if ["Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp:", "SigBlk:", "SigIgn:"].iter().any(|key| line.starts_with(key)) {
            println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    for (name, value) in std::env::vars() {
        println!("env {name}={value}");
    }
    println!("cwd {}", std::env::current_dir().unwrap().display());
    let mut name = [0u8; 256];
    unsafe { gethostname(name.as_mut_ptr().cast(), name.len()) };
    println!("hostname {}", std::ffi::CStr::from_bytes_until_nul(&name).unwrap().to_str().unwrap());
    println!("pid {}", std::process::id());
    for line in std::fs::read_to_string("/proc/self/limits").unwrap().lines() {
        if ["Max open files", "Max core", "Max locked"].iter().any(|key| line.starts_with(key)) {
            println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    println!("oom_score_adj {}", std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim());
    let mut fds: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().ok())
        .collect();
    fds.sort();
    println!("fds {fds:?}");
    println!("namespaces {}", std::fs::read_to_string("/proc/self/cgroup").unwrap().replace('\n', " "));
}

/// Prints `name errno` for every attempt; 0 when it succeeded.
fn try_what_is_forbidden() {
    let call = |name: &str, result: c_long| {
        let errno = if result < 0 { std::io::Error::last_os_error().raw_os_error().unwrap() } else { 0 };
        println!("{name} {errno}");
    };
    let open = |name: &str, options: &mut std::fs::OpenOptions, path: &str| {
        let result = options.open(path).and_then(|mut file| file.read(&mut [0; 16]));
        match result {
            Ok(length) => println!("{name} read {length}"),
            Err(error) => println!("{name} {}", error.raw_os_error().unwrap_or(-1)),
        }
    };
    let write = |name: &str, path: &str, text: &str| {
        let result = std::fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write(text.as_bytes()));
        println!("{name} {}", result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1)));
    };
    let none = std::ptr::null::<c_void>();
    let path = |text: &'static [u8]| text.as_ptr();
    unsafe {
        call("mount", syscall(165, path(b"none\0"), path(b"/tmp\0"), path(b"tmpfs\0"), 0u64, none));
        call("umount", syscall(166, path(b"/proc\0"), 0));
        call("unshare_user", syscall(272, 0x1000_0000));
        call("clone_user", syscall(56, 0x1000_0000 | 17, none, none, none, none));
        call("clone3", syscall(435, none, 0));
        call("setns", syscall(308, 0, 0));
        call("mknod", syscall(133, path(b"/disk\0"), 0o60600, 8 << 8));
        call("af_alg", syscall(41, 38, 5, 0));
        call("af_vsock", syscall(41, 40, 1, 0));
        call("af_alg_high", syscall(41, 0x1_0000_0026u64, 5, 0));
        call("af_vsock_high", syscall(41, 0x1_0000_0028u64, 1, 0));
        call("af_packet", syscall(41, 17, 3, 0));
        call("raw_icmp", syscall(41, 2, 3, 1));
        call("netlink", syscall(41, 16, 3, 0));
        call("io_uring_setup", syscall(425, 8, none));
        call("bpf", syscall(321, 0, none, 0));
        call("keyctl", syscall(250, 0, 0));
        call("add_key", syscall(248, none, none, none, 0, 0));
        call("userfaultfd", syscall(323, 0));
        call("perf_event_open", syscall(298, none, 0, -1, -1, 0));
        call("kexec_load", syscall(246, 0, 0, none, 0));
        call("init_module", syscall(175, none, 0, none));
        call("open_by_handle_at", syscall(304, -100, none, 0));
        call("chroot", syscall(161, path(b"/\0")));
        call("pivot_root", syscall(155, path(b"/\0"), path(b"/\0")));
        call("sethostname", syscall(170, path(b"x\0"), 1));
        call("reboot", syscall(169, 0, 0, 0, none));
        call("settimeofday", syscall(164, none, none));
        call("syslog", syscall(103, 3, none, 0));
        call("fsopen", syscall(430, none, 0));
        call("setns_time", syscall(308, 0, 0x80));
    }
    write("sysrq", "/proc/sysrq-trigger", "b");
    write("core_pattern", "/proc/sys/kernel/core_pattern", "x");
    write("cgroup_procs", "/sys/fs/cgroup/cgroup.procs", "0");
    write("cgroup_procs_v1", "/sys/fs/cgroup/memory/cgroup.procs", "0");
    write("sys", "/sys/kernel/mm/ksm/run", "1");
    write("hosts", "/etc/hosts", "x");
    write("own_program", "/proc/self/exe", "x");
    open("kcore", std::fs::OpenOptions::new().read(true), "/proc/kcore");
    open("keys", std::fs::OpenOptions::new().read(true), "/proc/keys");
    open("timer_list", std::fs::OpenOptions::new().read(true), "/proc/timer_list");
    println!("firmware {}", std::fs::read_dir("/sys/firmware").map_or(-1, |entries| entries.count() as i64));
    // A device that the image brought along must be dead as well.
    open("image_device", std::fs::OpenOptions::new().read(true), "/disk-from-image");
    println!("init_exe {}", std::fs::read_link("/proc/1/exe").unwrap().display());
    for device in ["null", "zero", "full", "random", "urandom", "tty", "ptmx"] {
        println!("device /dev/{device} {}", std::fs::metadata(format!("/dev/{device}")).is_ok());
    }
    write("write_null", "/dev/null", "x");
    for path in ["/dev/kmsg", "/dev/mem", "/dev/sda", "/dev/vda"] {
        println!("absent {path} {}", std::fs::metadata(path).is_err());
    }
    let udp = UdpSocket::bind("[::]:0");
    println!("ipv6_route {}", udp.is_ok_and(|udp| udp.connect("[fd00::1]:53").is_ok()));
}

/// 100 bytes a line.
fn spam(count: u64) {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for number in 0..count {
        writeln!(out, "{number:0>99}").unwrap();
    }
    out.flush().unwrap();
}

fn serve(address: &str, ignores_signals: bool) {
    if ignores_signals {
        unsafe { signal(15, 1) };
    } else {
        extern "C" fn on_term(_: c_int) {
            std::process::exit(7);
        }
        extern "C" fn on_other(_: c_int) {
            std::process::exit(9);
        }
        unsafe {
            signal(15, on_term as *const () as usize);
            signal(37, on_other as *const () as usize);
        }
    }
    let listener = TcpListener::bind(address).unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let peer = stream.peer_addr().unwrap();
        let _ = writeln!(stream, "hello {}", peer.ip());
    }
}

fn connect(address: &str, patience: Duration) {
    let address: SocketAddr = address.parse().unwrap();
    match TcpStream::connect_timeout(&address, patience) {
        Ok(mut stream) => {
            let mut text = String::new();
            stream.set_read_timeout(Some(patience)).unwrap();
            let _ = stream.read_to_string(&mut text);
            println!("{address} answered {}", text.trim());
        }
        Err(error) => println!("{address} failed {:?}", error.kind()),
    }
}

fn eat(megabytes: usize) {
    let mut all = Vec::new();
    for number in 0..megabytes {
        all.push(vec![number as u8 | 1; 1 << 20]);
    }
    println!("ate {}", all.iter().map(|part| usize::from(part[4096] > 0)).sum::<usize>());
}

fn sleep_for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

/// A line every 10 ms.
fn tick() -> ! {
    for number in 0_u64.. {
        println!("tick {number}");
        std::thread::sleep(Duration::from_millis(10));
    }
    unreachable!()
}

/// The first process itself needs next to nothing, and goes on whatever becomes of its child.
fn eat_in_child(megabytes: usize) -> ! {
    if unsafe { fork() } == 0 {
        eat(megabytes);
    }
    sleep_for_ever()
}

/// Every process of it forks, for ever.
fn bomb() -> ! {
    println!("armed");
    loop {
        if unsafe { fork() } < 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn threads() -> ! {
    let mut made = 0;
    while std::thread::Builder::new().stack_size(64 << 10).spawn(|| sleep_for_ever()).is_ok() {
        made += 1;
    }
    println!("threads {made}");
    sleep_for_ever()
}

/// Opens so many files, or as many as it may.
fn files(count: usize) -> ! {
    let mut open = Vec::new();
    let error = loop {
        match std::fs::File::open("/probe") {
            Ok(file) if open.len() < count => open.push(file),
            Ok(_) => break 0,
            Err(error) => break error.raw_os_error().unwrap_or(-1),
        }
    };
    println!("files {} errno {error}", open.len());
    sleep_for_ever()
}

/// Children that end and are never collected.
fn zombies() -> ! {
    let mut made = 0;
    loop {
        match unsafe { fork() } {
            0 => std::process::exit(0),
            -1 => break,
            _ => made += 1,
        }
    }
    println!("zombies {made}");
    sleep_for_ever()
}

/// A grandchild in a session of its own, whose parent has gone, and which ignores the stop signal.
fn daemon() -> ! {
    if unsafe { fork() } == 0 {
        unsafe { setsid() };
        if unsafe { fork() } == 0 {
            unsafe { signal(15, 1) };
            println!("daemon runs");
            sleep_for_ever();
        }
        std::process::exit(0);
    }
    serve("0.0.0.0:8080", false);
    unreachable!()
}

/// Every process that it sees, but itself and those that have ended and wait to be collected.
fn ps() {
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let is_alive = stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"));
        if pid != std::process::id() && is_alive {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            println!("process {}", String::from_utf8_lossy(&line).replace('\0', " ").trim_end());
        }
    }
}

/// Hangs, with a chain of children that hang as well, one of them in a session of its own.
fn hang(depth: u32) -> ! {
    println!("hanging {depth}");
    if depth > 0 && unsafe { fork() } == 0 {
        if depth == 2 {
            unsafe { setsid() };
        }
        hang(depth - 1);
    }
    sleep_for_ever()
}

/// Ends at once and leaves a process behind that runs these words.
fn leave(words: &[&str]) {
    std::process::Command::new("/probe").args(words).spawn().unwrap();
    println!("left");
}

fn flood() -> ! {
    let text = [b'x'; 1000];
    let mut out = std::io::stdout().lock();
    loop {
        let _ = out.write_all(&text);
        let _ = out.write_all(b"\n");
    }
}

fn forks() -> ! {
    let mut made = 0;
    loop {
        match unsafe { fork() } {
            -1 => break,
            0 => sleep_for_ever(),
            _ => made += 1,
        }
    }
    println!("forked {made}");
    sleep_for_ever()
}

fn cat(path: &str) {
    match std::fs::read(path) {
        Ok(content) => println!("{path}: {}", String::from_utf8_lossy(&content).trim_end()),
        Err(error) => println!("{path}: error {}", error.raw_os_error().unwrap_or(-1)),
    }
}

fn dir(path: &str) {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).unwrap();
    println!("{path} {:o} {} {}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
}
