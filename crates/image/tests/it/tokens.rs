//! Logins and tokens at registries that behave oddly. They are on loopback and named, so a login may go there
//! over plain http.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model::FailureCode as Code;
use testkit::image::{Built, Image, Layer, Tar};
use testkit::registry::{Bad, Fault, Reply, Seen};

use crate::support::{BASIC, Bench, SECRET, ada, company, fails, is_root};

fn image() -> Built {
    Image::new().layer(Layer::gzip(Tar::new().file("hello", "x", 0o755))).build()
}

/// A registry with the image `app`, answered by a script first.
async fn registry(script: impl Fn(&Seen, &str) -> Option<Reply> + Send + Sync + 'static) -> (Bad, Bench) {
    let registry = Bad::start().await.unwrap();
    registry.serve("app", &image(), Fault::None);
    let host = registry.host();
    registry.script(move |seen| script(seen, &host));
    let bench =
        Bench::with(&[registry.host()], |config| config.timeouts.retry_after = Duration::from_secs(2));
    (registry, bench)
}

/// Asks for a token at its own `/token`, which `answer` gives; whoever has `good` is let in.
async fn with_tokens(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Bad, Bench) {
    registry(move |seen, host| {
        if seen.path.starts_with("/token") {
            return Some(answer(seen));
        }
        let is_in = seen.authorization() == Some("Bearer good");
        (!is_in).then(|| Reply::challenge(&format!("Bearer realm=\"http://{host}/token\",service=\"s\"")))
    })
    .await
}

fn token(text: &str) -> Reply {
    Reply::new(200, text)
}

fn count(registry: &Bad, path: &str) -> usize {
    registry.seen().iter().filter(|seen| seen.path.starts_with(path)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g16_a_refusal_without_a_way_to_log_in_says_so() {
    for body in ["", "{}"] {
        let (registry, bench) = registry(move |_, _| Some(Reply::new(401, body))).await;
        let name = format!("{}/app:1", registry.host());
        fails(bench.resolve_as_ada(&name).await, Code::RegistryUnauthorized, "offers no way to log in");
        assert_eq!(registry.seen().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g17_a_registry_that_is_never_content_is_asked_twice() {
    let (registry, bench) = registry(|seen, host| match seen.path.starts_with("/token") {
        true => Some(token(r#"{"token":"good"}"#)),
        false => Some(Reply::challenge(&format!("Bearer realm=\"http://{host}/token\""))),
    })
    .await;
    let name = format!("{}/app:1", registry.host());
    fails(bench.resolve_as_ada(&name).await, Code::ImageAccessDenied, "for ada");
    assert_eq!((count(&registry, "/v2/app/manifests"), count(&registry, "/token")), (2, 1));

    registry.script(|_| Some(Reply::challenge("Basic realm=\"x\"")));
    registry.forget();
    let fresh = Bench::new(&[registry.host()]);
    fails(fresh.resolve_as_ada(&name).await, Code::CredentialRejected, "saved credential of ada was refused");
    assert_eq!(registry.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g18_a_token_that_runs_out_in_the_middle_is_renewed() {
    if !is_root() {
        return;
    }
    let (given, used) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let number = given.clone();
    let (registry, bench) = registry(move |seen, host| {
        if seen.path.starts_with("/token") {
            used.store(0, Ordering::SeqCst);
            let number = number.fetch_add(1, Ordering::SeqCst) + 1;
            return Some(token(&format!(r#"{{"token":"t{number}","expires_in":300}}"#)));
        }
        // Each token is good for one request.
        let is_newest = seen.authorization() == Some(&*format!("Bearer t{}", number.load(Ordering::SeqCst)));
        let is_in = is_newest && used.fetch_add(1, Ordering::SeqCst) == 0;
        (!is_in).then(|| Reply::challenge(&format!("Bearer realm=\"http://{host}/token\"")))
    })
    .await;
    bench.pull_as(&format!("{}/app:1", registry.host()), Some(&ada()), company()).await.unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 3, "manifest, configuration, layer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g19_refusals_have_hints_of_their_own() {
    let error = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"m"}}]}}"#);
    let mut hints = Vec::new();
    for (status, word, code, says) in [
        (403, "DENIED", Code::ImageAccessDenied, "denies access"),
        (404, "NAME_UNKNOWN", Code::ImageNotFound, "has no image app"),
        (404, "MANIFEST_UNKNOWN", Code::TagNotFound, "has no tag \"1\""),
    ] {
        let body = error(word);
        let (registry, bench) = registry(move |seen, _| {
            seen.path.contains("/manifests/").then(|| Reply::new(status, body.clone()))
        })
        .await;
        let name = format!("{}/app:1", registry.host());
        for login in [Some(&ada()), None] {
            let result = bench.pull_as(&name, login, company()).await;
            hints.push(fails(result, code, says).hint().unwrap());
        }
    }
    hints.sort();
    hints.dedup();
    assert!(hints.len() >= 4, "{hints:#?}");
}

/// Nothing is asked for without the login that somebody chose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_a_refused_credential_is_told_also_for_a_public_image() {
    if !is_root() {
        return;
    }
    for (status, body, says) in [
        (401, r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
        (403, r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#, "saved credential of ada was refused"),
        (401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"the token has expired"}]}"#, "has expired"),
    ] {
        let (registry, bench) = with_tokens(move |seen| match seen.authorization() {
            Some(_) => Reply::new(status, body),
            None => token(r#"{"token":"good"}"#),
        })
        .await;
        let name = format!("{}/app:1", registry.host());
        let error = fails(bench.resolve_as_ada(&name).await, Code::CredentialRejected, says);
        assert!(error.hint().unwrap().contains("without a credential"), "{:?}", error.hint());
        let asked: Vec<_> =
            registry.seen().into_iter().filter(|seen| seen.path.starts_with("/token")).collect();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].authorization(), Some(BASIC));
        bench.pull_as(&name, None, company()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g21_g22_the_real_challenge_counts_in_whatever_form_it_comes() {
    if !is_root() {
        return;
    }
    let bearer = |host: &str| format!("Bearer realm=\"http://{host}/token\",service=\"a, b\"");
    let odd: [fn(&str, &str) -> String; 4] = [
        |_, bearer| bearer.to_owned(),
        |_, bearer| format!("Negotiate YII=, Basic realm=\"x, y\", {bearer}"),
        |host, _| format!("bEARER  REALM = \"http://{host}/token\" , Service=\"a, b\", error=\"x\\\"y\""),
        |_, bearer| format!(",, {bearer},"),
    ];
    for form in odd {
        let (registry, bench) = registry(move |seen, host| {
            if seen.path == "/v2/" {
                return Some(Reply::new(200, "{}"));
            }
            if seen.path.starts_with("/token") {
                return Some(token(r#"{"token":"good"}"#));
            }
            let is_in = seen.authorization() == Some("Bearer good");
            (!is_in).then(|| Reply::challenge(&form(host, &bearer(host))))
        })
        .await;
        bench.pull_as(&format!("{}/app:1", registry.host()), Some(&ada()), company()).await.unwrap();
        let seen = registry.seen();
        let asked = seen.iter().find(|seen| seen.path.starts_with("/token")).unwrap();
        assert!(asked.path.contains("service=a%2C+b"), "{}", asked.path);
        assert!(
            seen.iter()
                .filter(|seen| seen.authorization() == Some(BASIC))
                .all(|s| s.path.starts_with("/token"))
        );
    }
    let (registry, bench) = registry(|seen, _| {
        (seen.authorization() != Some(BASIC)).then(|| Reply::challenge("Negotiate, Basic realm=\"r\""))
    })
    .await;
    bench.pull_as(&format!("{}/app:1", registry.host()), Some(&ada()), company()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g27_token_answers_are_read_carefully() {
    for good in [
        r#"{"token":"good"}"#,
        r#"{"access_token":"good"}"#,
        r#"{"token":"good","access_token":"other"}"#,
        r#"{"token":"","access_token":"good"}"#,
        r#"{"token":"good","expires_in":-1}"#,
        r#"{"token":"good","expires_in":0}"#,
        r#"{"token":"good","expires_in":1000000000000}"#,
        r#"{"token":"good","expires_in":300,"issued_at":"2099-01-01T00:00:00Z"}"#,
    ] {
        let (registry, bench) = with_tokens(|_| token(good)).await;
        let name = format!("{}/app:1", registry.host());
        bench.pull_as(&name, Some(&ada()), company()).await.unwrap();
        assert_eq!(count(&registry, "/token"), 1, "{good}: one token serves a whole pull");
        bench.resolve_as_ada(&name).await.unwrap();
        assert_eq!(count(&registry, "/token"), 2, "{good}: the next one proves its login anew");
    }
    let large = format!(r#"{{"token":"good","x":"{}"}}"#, "x".repeat(10 << 20));
    for (bad, says) in [
        ("{}", "without a token"),
        (r#"{"token":"two\nlines"}"#, "without a token"),
        ("<html>welcome</html>", "no JSON"),
        ("", "no JSON"),
        (large.leak(), "larger than"),
    ] {
        let (registry, bench) = with_tokens(|_| token(bad)).await;
        let name = format!("{}/app:1", registry.host());
        fails(bench.resolve_as_ada(&name).await, Code::RegistryError, says);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g28_a_token_server_in_trouble_is_asked_again_and_never_passed_by() {
    let calls = Arc::new(AtomicUsize::new(0));
    let number = calls.clone();
    let (registry, bench) = with_tokens(move |_| match number.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::new(500, ""),
        1 => Reply::new(429, "").header("retry-after", "0"),
        _ => token(r#"{"token":"good"}"#),
    })
    .await;
    bench.resolve_as_ada(&format!("{}/app:1", registry.host())).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    assert!(registry.seen().iter().all(|seen| seen.method == "GET"));

    for (status, code) in [(500, Code::RegistryError), (429, Code::RateLimited), (404, Code::RegistryError)] {
        let (registry, bench) = with_tokens(move |_| Reply::new(status, "")).await;
        fails(bench.resolve_as_ada(&format!("{}/app:1", registry.host())).await, code, "");
        assert_eq!(count(&registry, "/v2/"), 1, "nothing is asked for without a token");
        let asked = registry.seen();
        assert!(asked.iter().skip(1).all(|seen| seen.authorization() == Some(BASIC)));
    }
    // Longer than an answer is waited for.
    let slow = || token(r#"{"token":"good"}"#).after(Duration::from_secs(600));
    let (registry, _) = with_tokens(move |_| slow()).await;
    let name = format!("{}/app:1", registry.host());
    let hasty = Bench::with(&[registry.host()], |config| config.timeouts.header = Duration::from_secs(1));
    fails(hasty.resolve_as_ada(&name).await, Code::RegistryTimeout, "did not answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g29_a_token_is_for_one_repository_whatever_the_challenge_says() {
    let (registry, bench) = registry(|seen, host| {
        let scope = |path: &str| path.split("scope=").nth(1).unwrap_or_default().to_owned();
        if seen.path.starts_with("/token") {
            return Some(token(&format!(r#"{{"token":"for-{}"}}"#, scope(&seen.path))));
        }
        let own = format!("Bearer for-repository%3A{}%3Apull", seen.path.split('/').nth(2).unwrap());
        let challenge =
            format!("Bearer realm=\"http://{host}/token\",scope=\"repository:app:pull,push,delete\"");
        (seen.authorization() != Some(&*own)).then(|| Reply::challenge(&challenge))
    })
    .await;
    registry.serve("other", &image(), Fault::None);
    for name in ["app", "other", "app"] {
        bench.resolve_as_ada(&format!("{}/{name}:1", registry.host())).await.unwrap();
    }
    let seen = registry.seen();
    let leaked = seen.iter().filter(|seen| {
        seen.path.starts_with("/v2/other/") && seen.authorization().is_some_and(|token| token.contains("app"))
    });
    assert_eq!(leaked.count(), 0);
    assert_eq!(count(&registry, "/token"), 3, "each resolution proves its login");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g30_rate_limits_are_waited_for_within_reason() {
    let date = "Wed, 21 Oct 2065 07:28:00 GMT";
    let past = "Wed, 21 Oct 2015 07:28:00 GMT";
    for (retry_after, is_waited_for) in [
        (Some("1"), true),
        (Some(past), true),
        (Some("86400"), false),
        (Some(date), false),
        (Some("-5"), true),
        (Some("soon"), true),
        (None, true),
    ] {
        let calls = AtomicUsize::new(0);
        let (registry, bench) = registry(move |_, _| {
            let reply = Reply::new(429, "").header("ratelimit-remaining", "0;w=21600");
            let reply = retry_after.iter().fold(reply, |reply, text| reply.header("retry-after", text));
            (calls.fetch_add(1, Ordering::SeqCst) == 0).then_some(reply)
        })
        .await;
        let begun = Instant::now();
        let name = format!("{}/app:1", registry.host());
        let result = bench.pull_as(&name, None, company()).await;
        if is_waited_for {
            if let Err(error) = &result {
                assert!(error.code() != Code::RateLimited, "{retry_after:?}: {error}");
            }
            assert!(retry_after != Some("1") || begun.elapsed() >= Duration::from_secs(1));
        } else {
            let error = fails(result, Code::RateLimited, "0 are left");
            assert!(error.retry_after() >= Some(Duration::from_secs(86400)), "{retry_after:?}");
        }
    }
    let (registry, bench) = registry(|_, _| Some(Reply::new(429, ""))).await;
    let error = fails(bench.pull(&format!("{}/app:1", registry.host())).await, Code::RateLimited, "");
    assert_eq!(error.retry_after(), None);
    assert_eq!(registry.seen().len(), 3);
}

/// What a registry says is shown, but never what it was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g39_an_error_body_is_cut_cleaned_and_redacted() {
    let echo = |said: &str| serde_json::json!({"errors": [{"code": "DENIED", "message": said}]}).to_string();
    let encoded = SECRET.replace('-', "%2D");
    for body in [
        echo(&format!("{BASIC} is not good enough")),
        echo(&format!("the password {SECRET} came")),
        echo(&format!("{}-{SECRET}", "x".repeat(195))),
        echo(&format!("hunter2\u{200b}-canary \u{1b}[31m<script>{encoded}")),
        echo(&BASIC[6..]),
        format!("<html>{SECRET}</html>"),
        "x".repeat(5 << 20),
        echo("").replace("DENIED", SECRET),
    ] {
        for status in [401, 403, 404, 418, 500] {
            let body = body.clone();
            let (registry, bench) = registry(move |seen, _| match seen.authorization() {
                None => Some(Reply::challenge("Basic realm=\"r\"")),
                Some(_) => Some(Reply::new(status, body.clone())),
            })
            .await;
            let error = bench.resolve_as_ada(&format!("{}/app:1", registry.host())).await.unwrap_err();
            let error = fails::<()>(Err(error), expected(status), "");
            let text = error.to_string();
            assert!(text.len() < 600 && !text.contains(['\u{1b}', '\n', '\u{200b}']), "{text}");
        }
    }
}

fn expected(status: u16) -> Code {
    match status {
        401 => Code::CredentialRejected,
        403 => Code::ImageAccessDenied,
        404 => Code::ImageNotFound,
        _ => Code::RegistryError,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_login_that_the_registry_took_counts_as_used() {
    // The image is for everybody: the login is not sent, so nothing is known of it.
    let (public, bench) = registry(|_, _| None).await;
    let name = format!("{}/app:1", public.host());
    assert!(!bench.resolve_as_ada(&name).await.unwrap().with_login);
    assert!(public.seen().iter().all(|seen| seen.authorization().is_none()));

    let (tokens, bench) = with_tokens(|_| token(r#"{"token":"good"}"#)).await;
    let name = format!("{}/app:1", tokens.host());
    assert!(bench.resolve_as_ada(&name).await.unwrap().with_login);
    assert!(!bench.pull(&name).await.unwrap().0.with_login, "a token that everybody gets");

    let basic = |seen: &Seen, _: &str| {
        (seen.authorization() != Some(BASIC)).then(|| Reply::challenge("Basic realm=\"x\""))
    };
    let (private, bench) = registry(basic).await;
    let name = format!("{}/app:1", private.host());
    assert!(bench.resolve_as_ada(&name).await.unwrap().with_login);

    // Some give manifests to everybody, and ask who it is for the rest.
    let (half, bench) = registry(move |seen, host| match seen.path.contains("/blobs/") {
        true => basic(seen, host),
        false => None,
    })
    .await;
    let name = format!("{}/app:1", half.host());
    assert!(bench.resolve_as_ada(&name).await.unwrap().with_login);
}
