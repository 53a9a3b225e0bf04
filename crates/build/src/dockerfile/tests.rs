//! Whole Dockerfiles: stages, bases and steps.

use super::{Step, Values, parse, plan};

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into())).collect()
}

fn bases(text: &str, variables: &[(&str, &str)]) -> Vec<(String, usize)> {
    let plan = plan(text, &values(variables)).unwrap();
    plan.bases().into_iter().map(|base| (base.reference.to_string(), base.line)).collect()
}

#[test]
fn bases_are_what_no_stage_is_called() {
    let text = "ARG VERSION=1\nARG REGISTRY\nFROM ${REGISTRY:-r.example}/go:$VERSION AS Build\n\
        RUN --mount=type=bind,from=tools:3,target=/t --mount=type=cache,target=/c make\n\
        FROM scratch\nCOPY --from=build /a /a\nCOPY --from=0 /b /b\nCOPY --from=busybox /c /c\n\
        FROM build AS last\nCOPY --from=1 / /\nCOPY --link --from=tools:3 / /\n";
    let wanted = [
        ("r.example/go:1".to_owned(), 3),
        ("docker.io/library/tools:3".to_owned(), 4),
        ("docker.io/library/busybox:latest".to_owned(), 8),
    ];
    assert_eq!(bases(text, &[]), wanted);
    assert_eq!(bases(text, &[("VERSION", "2"), ("REGISTRY", "x.example")])[0].0, "x.example/go:2");
}

#[test]
fn stages_that_the_last_one_does_not_need_ask_for_nothing() {
    let text =
        "FROM a AS one\nFROM b AS two\nRUN x\nFROM c AS three\nCOPY --from=one / /\nFROM three\nRUN y\n";
    let references: Vec<_> = bases(text, &[]).into_iter().map(|(reference, _)| reference).collect();
    assert_eq!(references, ["docker.io/library/a:latest", "docker.io/library/c:latest"]);
    let steps = plan(text, &Values::new()).unwrap().steps();
    assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 2, 2]);
    assert_eq!(steps[3][1], Step { stage: "4".to_owned(), text: "RUN y".to_owned(), line: 7 });
}

#[test]
fn platforms_are_known_without_being_declared() {
    let text = "FROM --platform=$BUILDPLATFORM tools:$TARGETARCH\n";
    assert_eq!(bases(text, &[])[0].0, "docker.io/library/tools:amd64");
    let invalid = plan("FROM --platform=linux/arm64 a", &Values::new()).unwrap_err();
    assert!(invalid.reason.contains("linux/arm64 is not built here"));
}

#[test]
fn what_cannot_be_built_is_said_with_its_line() {
    for (text, line, part) in [
        ("ARG A=1\n", 1, "no FROM"),
        ("RUN a\nFROM b", 1, "before the first FROM"),
        ("FROM a b c\n", 1, "FROM IMAGE AS NAME"),
        ("FROM a\nFROM $NOTHING\n", 2, "is empty"),
        ("FROM UPPER/Case", 1, "lower case"),
        ("FROM a AS 1b\n", 1, "no name of a stage"),
        ("FROM a\nFROM b AS $B\n", 2, "no name of a stage"),
        ("FROM a\nCOPY --from=0 /x /y", 2, "no stage 0"),
        ("FROM a AS one\nRUN x\nCOPY --from=One /x /y", 3, "the stage that this stands in"),
        (
            "FROM a AS one\nFROM b AS ONE\nRUN --mount=from=one,target=/x y",
            3,
            "the stage that this stands in",
        ),
        ("FROM a\nONBUILD copy --chown=1:1 --from=b /x /y", 2, "ONBUILD with a source"),
        ("FROM a\nRUN x\nOnBuild run --mount=type=bind,from=b,target=/x y", 3, "ONBUILD with a source"),
        ("FROM a\nRUN --mount=type=ssh git clone x", 2, "SSH agent"),
        ("FROM a\nRUN --mount=type=secret,id=a,env=A x", 2, "/run/secrets/ID"),
        ("FROM ${A\n", 1, "not closed"),
    ] {
        let invalid = plan(text, &Values::new()).unwrap_err();
        assert_eq!(invalid.line, line, "{text}: {}", invalid.reason);
        assert!(invalid.reason.contains(part), "{text}: {}", invalid.reason);
    }
    assert!(parse::parse("").unwrap().instructions.is_empty());
}

#[test]
fn what_a_later_build_takes_from_its_repository_is_no_source() {
    let text = "FROM a\nONBUILD COPY from=b /x\nONBUILD RUN --mount=type=cache,target=/from=b x --from=c\n";
    assert_eq!(bases(text, &[]).len(), 1);
}
