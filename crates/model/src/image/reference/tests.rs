//! Group R of the fault list, row by row.

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[track_caller]
fn accepts(text: &str, canonical: &str) -> Reference {
    let reference = Reference::parse(text).unwrap_or_else(|error| panic!("{text:?} is refused: {error}"));
    assert_eq!(reference.to_string(), canonical, "{text:?}");
    assert_eq!(Reference::parse(canonical).as_ref(), Ok(&reference), "the canonical form means the same");
    reference
}

#[track_caller]
fn refuses(text: &str, with: &str) -> String {
    let error = Reference::parse(text).expect_err(text).to_string();
    assert!(error.contains(with), "{text:?}: {error:?} does not say {with:?}");
    assert!(error.chars().all(|c| !c.is_control() && c.is_ascii()), "{text:?}: {error:?} can be printed");
    error
}

#[test]
fn r1_to_r4_names_are_resolved_as_docker_users_expect() {
    accepts("nginx", "docker.io/library/nginx:latest");
    accepts("nginx:1.27", "docker.io/library/nginx:1.27");
    accepts("user/app", "docker.io/user/app:latest");
    accepts("docker.io/nginx", "docker.io/library/nginx:latest");
    accepts("ghcr.io/o/a", "ghcr.io/o/a:latest");
    accepts("GHCR.io/o/a", "ghcr.io/o/a:latest");
    accepts("a/b/c/d:x", "docker.io/a/b/c/d:x");

    let both = accepts(&format!("ghcr.io/o/a:1.2@sha256:{HEX}"), &format!("ghcr.io/o/a:1.2@sha256:{HEX}"));
    assert_eq!(both.tag(), Some("1.2"));
    assert_eq!(both.digest().unwrap().hex(), HEX);
    let digest_only =
        accepts(&format!("nginx@sha256:{HEX}"), &format!("docker.io/library/nginx@sha256:{HEX}"));
    assert_eq!(digest_only.tag(), None);

    assert!(!accepts("localhost:5000/a", "localhost:5000/a:latest").is_local());
    let local = accepts("localhost/a", "localhost/a:latest");
    assert!(local.is_local());
    assert_eq!((local.host(), local.repository(), local.tag()), ("localhost", "a", Some("latest")));
}

#[test]
fn r5_r6_empty_long_and_blank() {
    refuses("", "cannot be empty");
    refuses(" \n\t ", "cannot be empty");
    refuses(&"a".repeat(1 << 20), "at most");
    accepts(" nginx ", "docker.io/library/nginx:latest");
    accepts("nginx\n", "docker.io/library/nginx:latest");
    refuses("ngi nx", "a blank");
    refuses("ngi\tnx", "a tab");
    refuses("ngi\nnx", "a line break");
}

#[test]
fn r7_upper_case_is_refused_with_the_lower_case_form() {
    refuses("Nginx", "write nginx");
    refuses("ghcr.io/Org/App:V1", "write ghcr.io/org/app:V1");
    accepts("app:V1", "docker.io/library/app:V1");
}

#[test]
fn r8_schemes_say_what_to_write() {
    refuses("http://ghcr.io/a", "without http://: ghcr.io/a");
    refuses("https://hub.docker.com/r/x/y", "without https://: x/y");
    refuses("https://hub.docker.com/_/nginx", ": nginx");
    refuses("docker://x", "without docker://: x");
    refuses("oci:x/y:1/z", "port");
}

#[test]
fn r9_r10_r25_nothing_that_a_shell_or_a_program_would_read() {
    for (text, with) in [
        ("-rf", "begin with '-'"),
        ("--help", "begin with '-'"),
        ("a:-x", "tag cannot begin with '-'"),
        ("a;id", "';'"),
        ("$(id)", "'$'"),
        ("`id`", "'`'"),
        ("a|b", "'|'"),
        ("a&&b", "'&'"),
        ("a?x=y", "'?'"),
        ("a#f", "'#'"),
        ("a%2e%2e/b", "'%'"),
        ("a\\b", "'\\\\'"),
    ] {
        refuses(text, with);
    }
}

#[test]
fn r11_r12_parts() {
    for text in ["a//b", "/a", "a/", "ghcr.io/", "ghcr.io//a", "//"] {
        refuses(text, "empty part");
    }
    refuses("../../etc", "begin with '.'");
    refuses("a/../b", "cannot be a part");
    refuses("a/-b", "begins and ends");
    refuses("a/b-", "begins and ends");
    refuses("a..b/c", "no host name");
    refuses("x/a..b", "joined");
    refuses("x/a___b", "joined");
    refuses("x/a._b", "joined");
    accepts("x/a__b-c---d.e_f", "docker.io/x/a__b-c---d.e_f:latest");
    refuses("a:tag:tag", "tag cannot hold ':'");
    refuses(&format!("a@sha256:{HEX}@sha256:{HEX}"), "at most one digest");
    refuses("a:", "tag is missing");
    refuses("a@", "digest is missing");
    refuses(":tag", "begin with ':'");
}

#[test]
fn r13_lengths() {
    let tag = "t".repeat(128);
    accepts(&format!("a:{tag}"), &format!("docker.io/library/a:{tag}"));
    refuses(&format!("a:{tag}t"), "at most 128");
    let path = "p".repeat(255 - "ghcr.io/".len());
    accepts(&format!("ghcr.io/{path}"), &format!("ghcr.io/{path}:latest"));
    refuses(&format!("ghcr.io/{path}p"), "at most 255");
}

#[test]
fn r14_to_r16_digests_are_whole_lower_case_sha256() {
    refuses(&format!("a@sha256:{}", &HEX[1..]), "64 hex digits");
    refuses(&format!("a@sha256:{HEX}0"), "64 hex digits");
    refuses(&format!("a@sha256:{}", HEX.to_uppercase()), "'A'");
    refuses(&format!("a@sha256:{}", HEX.replace('f', "g")), "'g'");
    refuses(&format!("a@sha512:{HEX}{HEX}"), "sha512");
    refuses("a@md5:d41d8cd98f00b204e9800998ecf8427e", "md5");
    refuses("a@sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "sha1");
}

#[test]
fn r17_a_password_is_never_shown() {
    for text in ["user:hunter2@ghcr.io/a", "https://user:hunter2@ghcr.io/a", "user:hun@ter2@ghcr.io/a"] {
        let error = refuses(text, "no user name or password");
        assert!(!error.contains("hun") && !error.contains("ter2"), "{error}");
        assert!(error.contains("before ghcr.io"), "{error}");
    }
}

#[test]
fn r18_ports() {
    for port in ["99999", "0", "abc", "", "080", "+80", "65536"] {
        let text = format!("ghcr.io:{port}/a");
        assert!(Reference::parse(&text).is_err(), "{text}");
    }
    refuses("ghcr.io:99999/a", "1 to 65535");
    refuses("ghcr.io:abc/a", "\"abc\" is no port");
    accepts("ghcr.io:65535/a", "ghcr.io:65535/a:latest");
}

#[test]
fn r19_only_plain_dotted_addresses_are_hosts() {
    for text in [
        "127.1/a",
        "0x7f.1/a",
        "127.0.0.0x1/a",
        "2130706433/a",
        "2130706433:80/a",
        "0x7f000001/a",
        "0177.0.0.1/a",
        "1.2.3.4.5/a",
        "256.1.1.1/a",
        "127.0.0.1./a",
    ] {
        refuses(text, "no host name");
    }
    for text in ["[::1]/a", "[::1]:5000/a", "[::ffff:169.254.169.254]/a"] {
        refuses(text, "IPv6");
    }
    accepts("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest");
    accepts("3proxy/a", "docker.io/3proxy/a:latest");
}

#[test]
fn r21_r22_a_host_is_itself_and_no_other() {
    refuses("\u{ff47}hcr.io/a", "U+FF47");
    refuses("ghcr\u{3002}io/a", "U+3002");
    refuses("gh\u{0441}r.io/a", "U+0441");
    assert_eq!(accepts("xn--ghr-3ed.io/a", "xn--ghr-3ed.io/a:latest").host(), "xn--ghr-3ed.io");
    assert_eq!(Reference::parse("ghcr.io.evil.tld/a").unwrap().host(), "ghcr.io.evil.tld");
    assert_eq!(Reference::parse("evil.tld/ghcr.io/a").unwrap().host(), "evil.tld");
    refuses("ghcr.io@evil.tld/a", "no user name or password");
}

#[test]
fn r23_docker_hub_has_one_name() {
    for alias in ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO", "docker.io:443"] {
        accepts(&format!("{alias}/nginx"), "docker.io/library/nginx:latest");
        accepts(&format!("{alias}/library/nginx"), "docker.io/library/nginx:latest");
    }
}

#[test]
fn r24_control_characters_are_refused_and_escaped() {
    refuses("a\r\nHost: x", "a line break");
    refuses("a\0b", "U+0000");
    refuses("a\u{1b}[31m", "U+001B");
    refuses("a\u{202e}b", "U+202E");
}
