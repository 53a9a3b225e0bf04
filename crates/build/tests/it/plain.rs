//! What every Dockerfile has: stages, steps, arguments, files.

use build::{Builder, News};

use crate::support::{Bench, image_config, image_holds, is_root};

#[tokio::test]
async fn a_dockerfile_of_two_stages_becomes_an_image() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let order = bench.order(&[
        (
            "Dockerfile",
            "ARG BASE=tools:1\nFROM $BASE AS builder\nCOPY greeting /in/\nRUN cat /in/greeting > /out && echo built\n\
             FROM scratch\nCOPY --from=builder /out /greeting\nENV A=b\nENTRYPOINT [\"/greeting\"]\n",
        ),
        ("greeting", "good morning, image"),
    ]);
    let built = bench.build(&order).await.unwrap();
    assert!(image_holds(&built.layout, "good morning, image"));
    assert!(image_config(&built.layout).contains("\"Entrypoint\":[\"/greeting\"]"));
    assert_eq!(built.bases.len(), 1);
    let steps: Vec<_> = bench
        .around
        .take_news()
        .into_iter()
        .filter_map(|news| match news {
            News::Step { number, of, stage, text } => Some((number, of, stage, text)),
            _ => None,
        })
        .collect();
    let texts: Vec<_> = steps.iter().map(|(_, _, _, text)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "FROM $BASE AS builder",
            "COPY greeting /in/",
            "RUN cat /in/greeting > /out && echo built",
            "FROM scratch",
            "COPY --from=builder /out /greeting",
            "ENV A=b",
            "ENTRYPOINT [\"/greeting\"]"
        ]
    );
    assert!(steps.iter().enumerate().all(|(index, step)| step.0 as usize == index + 1 && step.1 == 7));
    assert_eq!((&*steps[0].2, &*steps[3].2), ("builder", "2"));

    bench.workshop.clear(order.build).await.unwrap();
    assert!(!built.layout.exists());
    bench.workshop.forget(bench.app).await.unwrap();
}

#[tokio::test]
async fn a_shell_of_its_own_counts_and_stages_that_nobody_needs_do_not() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let text = "FROM tools:1 AS one\nRUN echo from one > /one\n\
        FROM not-there:1 AS unused\nRUN false\n\
        FROM tools:1 AS three\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nRUN false; echo still going\n\
        FROM one\nCOPY --from=three /etc/passwd /x\n";
    let failure = bench.build(&bench.order(&[("Dockerfile", text)])).await.unwrap_err();
    assert!(
        failure.message.starts_with("Step 5 of 7 failed with exit code 1: RUN false; echo still going"),
        "{failure:?}"
    );
    assert!(failure.message.contains("line 7"), "{failure:?}");
    let text = text.replace("RUN false; echo", "RUN echo");
    bench.around.take_news();
    let built = bench.build(&bench.order(&[("Dockerfile", &text)])).await.unwrap();
    assert!(image_holds(&built.layout, "from one"));
    let stages: Vec<_> = bench
        .around
        .take_news()
        .into_iter()
        .filter_map(|news| match news {
            News::Step { number, stage, .. } => Some((number, stage)),
            _ => None,
        })
        .collect();
    let wanted = [(1, "one"), (2, "one"), (3, "three"), (4, "three"), (5, "three"), (6, "4"), (7, "4")];
    assert_eq!(stages, wanted.map(|(number, stage)| (number, stage.to_owned())));
}

#[tokio::test]
async fn what_dockerfiles_use_works() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let text = "FROM tools:1\nWORKDIR /things\nCOPY --chmod=0750 --chown=1000:1000 [\"a file\", \"./\"]\n\
        RUN ls -ln '/things/a file'\nUSER 1000:1000\nWORKDIR /tmp/mine\n\
        RUN id && touch /tmp/own && ls -ln /tmp/own\nUSER 0\n\
        RUN --mount=type=bind,source=deep,target=/bound ls /bound && (touch /bound/x || echo read only)\n\
        RUN --mount=type=bind,from=tools:1,source=/etc,target=/bound cat /bound/passwd\n\
        WORKDIR /things\n\
        RUN --mount=type=bind,source=deep/b,target=b --mount=type=secret,id=none,required=false cat b\n\
        RUN --mount=type=tmpfs,target=/memory,size=1000000 touch /memory/x && ls /memory\n\
        RUN --network=default echo with a network\n\
        RUN <<EOF\nset -e\nfor i in 1 2; do\n  echo \"document $i $HOME\"\ndone\nEOF\n\
        RUN cat <<'END' > /text && cat /text\nin \\ \"quotes\" $HOME\nEND\n\
        RUN touch /etc/x && chmod 4755 /etc/x && dd if=/dev/urandom of=/dev/null bs=1 count=1 && ls /dev/shm\n\
        ADD deep/ /added/\nVOLUME /kept\nEXPOSE 80\nHEALTHCHECK --interval=5s --timeout=3s --start-period=1s --retries=3 CMD true\nLABEL a=\"b c\" \\\n  d=e\n\
        STOPSIGNAL SIGINT\nCMD [\"/bin/sh\"]\n";
    let files = [("Dockerfile", text), ("a file", "with a blank"), ("deep/b", "b"), ("deep/er/c", "c")];
    let built = bench.build(&bench.order(&files)).await.unwrap();
    let lines = bench.around.lines();
    for part in [
        "-rwxr-x--- 1 1000 1000",
        "uid=1000",
        " 1000 1000 ",
        "read only",
        "root:x:0",
        "with a network",
        "document 2 /",
        "in \\ \"quotes\" $HOME",
    ] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part} in {lines:#?}");
    }
    let config = image_config(&built.layout);
    for part in ["\"/kept\"", "80/tcp", "\"b c\"", "SIGINT", "\"WorkingDir\":\"/things\""] {
        assert!(config.contains(part), "{part} in {config}");
    }
}

#[tokio::test]
async fn stages_are_found_by_whatever_docker_finds_them_by() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let text = "ARG CHOSEN=two\nFROM tools:1 AS base-amd64\nRUN echo of the platform > /one\n\
        FROM base-${TARGETARCH} AS Two\nRUN echo of a variable > /two\n\
        FROM tools:1\nRUN echo of a number > /three\n\
        FROM $CHOSEN AS last\nCOPY --from=BASE-AMD64 /one /copied\n\
        RUN --mount=type=bind,from=2,target=/n --mount=type=bind,from=two,target=/t cat /copied /two /n/three /t/one\n";
    bench.build(&bench.order(&[("Dockerfile", text)])).await.unwrap();
    let lines = bench.around.lines();
    for part in ["of the platform", "of a variable", "of a number"] {
        assert!(lines.iter().any(|line| line == part), "{part} in {lines:#?}");
    }
}

#[tokio::test]
async fn values_arrive_whatever_the_files_escape_character_is() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let value = r#"odd " and $HOME, 'x' \n \" ` `"#;
    // The number keeps the second build from taking the first one's step.
    for (number, escape) in ["\\", "`"].into_iter().enumerate() {
        let text =
            format!("# escape={escape}\nFROM tools:1\nARG VALUE\nRUN env {escape}\n  && echo {number}\n");
        let mut order = bench.order(&[("Dockerfile", &text)]);
        order.variables = vec![("VALUE".to_owned(), build::Secret::new(value))];
        bench.around.take_news();
        bench.build(&order).await.unwrap();
        let lines = bench.around.lines();
        assert!(lines.iter().any(|line| line == "VALUE=***"), "{escape}: {lines:#?}");
    }
}
