//! Registries that misbehave.

use std::time::{Duration, Instant};

use image::{ImageError, Login};
use model::FailureCode;
use model::image::Reference;
use testkit::image::{Built, Image, Layer, Tar};
use testkit::registry::{Bad, Fault};

use crate::support::{Bench, company, is_root};

/// A layer that does not compress well, so that it can be cut in the middle.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    });
    next.take(length).collect()
}

fn large() -> Built {
    Image::new().layer(Layer::gzip(Tar::new().file("large", noise(3 << 20), 0o644))).build()
}

async fn pull(fault: Fault) -> (Bad, Bench, Result<(), ImageError>) {
    let registry = Bad::start().await.unwrap();
    registry.serve("faulty", &large(), fault);
    let bench = Bench::new(&[registry.host()]);
    let result = bench.pull(&format!("{}/faulty:1", registry.host())).await.map(drop);
    (registry, bench, result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_is_resumed_with_range() {
    if !is_root() {
        return;
    }
    let (registry, _bench, result) =
        pull(Fault::Cut { after: 1 << 20, has_ranges: true, times: usize::MAX }).await;
    result.unwrap();
    let ranges: Vec<String> = registry
        .seen()
        .iter()
        .filter_map(|seen| Some(seen.headers.get("range")?.to_str().unwrap().to_owned()))
        .collect();
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert!(ranges.iter().all(|range| range.starts_with("bytes=") && range.ends_with('-')), "{ranges:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_without_ranges_starts_again_and_the_result_is_right() {
    if !is_root() {
        return;
    }
    let (_registry, _bench, result) = pull(Fault::Cut { after: 1 << 20, has_ranges: false, times: 2 }).await;
    result.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_never_gets_further_is_given_up() {
    if !is_root() {
        return;
    }
    let (_registry, bench, result) =
        pull(Fault::Cut { after: 1 << 20, has_ranges: false, times: usize::MAX }).await;
    let error = result.unwrap_err();
    assert_eq!(error.code(), FailureCode::RegistryUnreachable, "{error}");
    assert!(error.to_string().contains("was lost at 1048576 of"), "{error}");
    bench.is_clean();

    let (_registry, bench, result) = pull(Fault::WrongRange { after: 1 << 20 }).await;
    assert_eq!(result.unwrap_err().code(), FailureCode::RegistryUnreachable);
    bench.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_bytes_are_refused_and_a_passing_fault_is_not_the_end() {
    if !is_root() {
        return;
    }
    let (_registry, _bench, result) = pull(Fault::WrongBytes { times: 1 }).await;
    result.unwrap();
    for fault in [Fault::WrongBytes { times: usize::MAX }, Fault::TooLong] {
        let (_registry, bench, result) = pull(fault).await;
        let error = result.unwrap_err();
        assert_eq!(error.code(), FailureCode::DigestMismatch, "{error}");
        bench.is_clean();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_must_be_what_was_asked_for() {
    let (_registry, _bench, result) = pull(Fault::WrongDigestHeader).await;
    assert_eq!(result.unwrap_err().code(), FailureCode::DigestMismatch);

    let registry = Bad::start().await.unwrap();
    let image = large();
    registry.serve("faulty", &image, Fault::WrongManifest);
    let bench = Bench::new(&[registry.host()]);
    let error = bench.pull(&format!("{}/faulty@{}", registry.host(), image.digest)).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::DigestMismatch, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_have_words_of_their_own() {
    let status = |status, retry_after: Option<&str>| Fault::Status {
        status,
        times: usize::MAX,
        retry_after: retry_after.map(str::to_owned),
    };
    for (fault, code) in [
        (status(500, None), FailureCode::RegistryError),
        (status(403, None), FailureCode::ImageAccessDenied),
        (status(429, Some("86400")), FailureCode::RateLimited),
        (Fault::NotFound { code: "NAME_UNKNOWN".to_owned() }, FailureCode::ImageNotFound),
        (Fault::Challenge("Negotiate".to_owned()), FailureCode::RegistryUnauthorized),
        (Fault::Challenge("Basic realm=\"x\"".to_owned()), FailureCode::RegistryUnauthorized),
        (Fault::Challenge("Bearer realm=\"http://169.254.169.254/\"".to_owned()), FailureCode::RegistryError),
        (Fault::Token { login: Some(("a".to_owned(), "b".to_owned())) }, FailureCode::RegistryUnauthorized),
    ] {
        let (_registry, _bench, result) = pull(fault.clone()).await;
        let error = result.unwrap_err();
        assert_eq!(error.code(), code, "{fault:?}: {error}");
        assert!(error.to_string().contains("faulty:1 failed"), "{error}");
        assert_eq!(
            error.retry_after(),
            (code == FailureCode::RateLimited).then_some(Duration::from_secs(86400))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_recovers_is_asked_again() {
    if !is_root() {
        return;
    }
    for (status, retry_after) in [(503, None), (429, Some("0".to_owned()))] {
        let (_registry, _bench, result) = pull(Fault::Status { status, times: 2, retry_after }).await;
        result.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_registry_is_not_waited_for() {
    let registry = Bad::start().await.unwrap();
    registry.serve("silent", &large(), Fault::Silent);
    let bench = Bench::with(&[registry.host()], |config| config.timeouts.header = Duration::from_millis(200));
    let begun = Instant::now();
    let error = bench.pull(&format!("{}/silent:1", registry.host())).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::RegistryTimeout, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_is_not_there_is_named() {
    if !is_root() {
        return;
    }
    let (_registry, bench, result) = pull(Fault::NoBlobs).await;
    let error = result.unwrap_err();
    assert_eq!(error.code(), FailureCode::LayerMissing, "{error}");
    bench.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_addresses_and_plain_http_are_for_named_registries() {
    let registry = Bad::start().await.unwrap();
    registry.serve("app", &large(), Fault::None);
    let bench = Bench::new(&[]);
    for host in
        [registry.host(), "localhost:5000".to_owned(), "169.254.169.254".to_owned(), "10.0.0.1".to_owned()]
    {
        let error = bench.pull(&format!("{host}/app:1")).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::RegistryUnreachable, "{error}");
        assert!(error.to_string().contains("private address"), "{error}");
        assert!(error.hint().unwrap().contains("--insecure-registry"));
    }
    assert!(registry.seen().is_empty(), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_goes_to_its_registry_and_not_along_a_redirect() {
    if !is_root() {
        return;
    }
    let (registry, other) = (Bad::start().await.unwrap(), Bad::start().await.unwrap());
    let image = large();
    let login = Login::new("ada", "hunter2");
    registry.serve("private", &image, Fault::Token { login: Some(("ada".to_owned(), "hunter2".to_owned())) });
    let bench = Bench::new(&[registry.host(), other.host()]);
    let reference = Reference::parse(&format!("{}/private:1", registry.host())).unwrap();
    let resolved = bench.store.resolve(&reference, Some(&login), company()).await.unwrap();
    let progress = image::Progress::new();
    bench.store.fetch(&resolved.manifest, &reference, Some(&login), company(), &progress).await.unwrap();
    let with_basic = |seen: &testkit::registry::Seen| {
        seen.headers.get("authorization").is_some_and(|value| value.to_str().unwrap().starts_with("Basic"))
    };
    assert!(
        registry.seen().iter().filter(|seen| with_basic(seen)).all(|seen| seen.path.starts_with("/token"))
    );

    let wrong = bench
        .store
        .resolve(&reference, Some(&Login::new("ada", "wrong-secret")), company())
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), FailureCode::CredentialRejected, "{wrong}");
    assert!(wrong.to_string().contains("ada") && !format!("{wrong:?}").contains("wrong-secret"));

    // Another realm than the registry's own gets nothing.
    other.serve("private", &image, Fault::None);
    let realm = format!("Bearer realm=\"http://{}/token\"", other.host());
    registry.serve("foreign", &image, Fault::Challenge(realm));
    let foreign = Reference::parse(&format!("{}/foreign:1", registry.host())).unwrap();
    let error = bench.store.resolve(&foreign, Some(&login), company()).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::CredentialHostMismatch, "{error}");
    assert!(other.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_may_be_elsewhere_but_no_header_follows() {
    if !is_root() {
        return;
    }
    let (registry, storage) = (Bad::start().await.unwrap(), Bad::start().await.unwrap());
    let image = large();
    storage.serve("blobs", &image, Fault::None);
    let elsewhere = format!("http://{}/v2/blobs/blobs/{{digest}}", storage.host());
    registry.serve("app", &image, Fault::RedirectBlobs(elsewhere));
    let bench = Bench::new(&[registry.host(), storage.host()]);
    bench.pull(&format!("{}/app:1", registry.host())).await.unwrap();
    assert_eq!(storage.seen().len(), 1);
    assert!(storage.seen()[0].headers.get("authorization").is_none());

    // A redirect leads nowhere private, and nowhere for ever.
    for to in
        ["http://127.0.0.1:1/x", "https://127.0.0.1:1/x", "http://169.254.169.254/", "/v2/app/blobs/{digest}"]
    {
        registry.serve("app", &image, Fault::RedirectBlobs(to.to_owned()));
        let fresh = Bench::new(&[registry.host()]);
        let error = fresh.pull(&format!("{}/app:1", registry.host())).await.unwrap_err();
        let expected = [FailureCode::RegistryUnreachable, FailureCode::RegistryError];
        assert!(expected.contains(&error.code()), "{to}: {error}");
        fresh.is_clean();
    }
}
