//! Variables of a build: values of `ARG`s, and secrets.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Bench, image_config, image_holds, is_root, secret};

#[tokio::test]
async fn arguments_get_their_values_whatever_is_in_them() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let values = [
        ("PLAIN", "value"),
        ("QUOTES", "a \"b\" 'c' d"),
        ("DOLLAR", "$HOME ${PLAIN} $(id) `id`"),
        ("SLASH", "C:\\dir\\new \\\\ end\\"),
        ("HASH", "# no comment, ; & | <x>"),
    ];
    let mut text = String::from("ARG VERSION=0\nFROM tools:${VERSION}\nARG OTHER=default VERSION\n");
    for (name, _) in values {
        text.push_str(&format!("ARG {name}\nRUN printf '%s<%s>' {name} \"${name}\" >> /out\n"));
    }
    text.push_str("ARG TARGETARCH\nRUN printf '%s' \"$OTHER-$VERSION-$TARGETARCH-$MISSING\" >> /out\n");
    let mut order = bench.order(&[("Dockerfile", &text)]);
    order.variables = values.iter().map(|(name, value)| secret(name, value)).collect();
    order.variables.extend([secret("VERSION", "1"), secret("MISSING", "must not be seen")]);
    let built = bench.build(&order).await.unwrap();
    for (name, value) in values {
        assert!(image_holds(&built.layout, &format!("{name}<{value}>")), "{name}");
    }
    assert!(image_holds(&built.layout, "default-1-amd64-"));
    assert!(!image_holds(&built.layout, "must not be seen"));
}

#[tokio::test]
async fn a_secret_is_seen_by_its_step_and_nowhere_else() {
    if !is_root() {
        return;
    }
    const TOKEN: &str = "tok-5f1d0e7c-very-secret";
    let bench = Bench::new();
    let mut order = bench.order(&[(
        "Dockerfile",
        "FROM tools:1\n\
         RUN --mount=type=secret,id=TOKEN cat /run/secrets/TOKEN; echo; sleep 1; \\\n\
         while read -r line; do echo \"part $line\"; done < /run/secrets/KEY || true\n\
         RUN --mount=type=secret,id=KEY,target=/key cat /key > /dev/null && ls /run/secrets /key || echo not there\n\
         RUN --mount=type=secret,id=NONE echo without\n",
    )]);
    order.variables =
        vec![secret("TOKEN", TOKEN), secret("KEY", "-----BEGIN-----\nabcdefgh\n-----END-----\n")];

    let is_over = AtomicBool::new(false);
    let (built, seen) = tokio::join!(
        async {
            let built = bench.build(&order).await;
            is_over.store(true, Ordering::SeqCst);
            built
        },
        // What anybody on this machine could read of the processes meanwhile.
        async {
            let mut seen = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                seen.extend(processes_that_show(TOKEN));
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            seen
        },
    );
    let built = built.unwrap();
    assert_eq!(seen, Vec::<String>::new());
    assert!(!image_holds(&built.layout, TOKEN));
    assert!(!image_config(&built.layout).contains(TOKEN));
    let lines = bench.around.lines();
    assert!(lines.contains(&"***".to_owned()), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains(TOKEN) && !line.contains("abcdefgh")), "{lines:?}");
    assert!(lines.contains(&"without".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn names_of_base_images_show_no_values_when_they_fail() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    // The first is asked for and not there, the second is no name of an image.
    for value in ["very-secret-name", "Very-Secret-Name"] {
        let mut order =
            bench.order(&[("Dockerfile", "ARG NAME=tools\nFROM tools:1\nFROM r.example/${NAME}:1\n")]);
        order.variables = vec![secret("NAME", value)];
        let failure = bench.build(&order).await.unwrap_err();
        assert!(failure.message.contains("r.example/***"), "{failure:?}");
        assert!(!format!("{failure:?}").contains(value), "{failure:?}");
    }
}

/// Processes with a text among their arguments or in their environment; those of the test itself know it.
fn processes_that_show(text: &str) -> Vec<String> {
    let us = std::process::id().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.bytes().all(|byte| byte.is_ascii_digit()) && name != us
    });
    let shows = |path: std::path::PathBuf| {
        let bytes = fs::read(&path).unwrap_or_default();
        let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        found.then(|| path.display().to_string())
    };
    processes
        .flat_map(|entry| ["cmdline", "environ"].map(|name| shows(entry.path().join(name))))
        .flatten()
        .collect()
}
