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
