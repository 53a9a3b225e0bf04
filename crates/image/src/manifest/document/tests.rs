use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn descriptor(media_type: &str, more: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":7{more}}}"#)
}

fn manifest(layers: &str) -> String {
    let config = descriptor(CONFIG_TYPES[0], "");
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#)
}

fn index(entries: &[&str]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|platform| descriptor(OCI_MANIFEST, &format!(r#","platform":{platform}"#)))
        .collect();
    format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","))
}

#[track_caller]
fn refuses(text: &str, content_type: Option<&str>, with: &str) {
    let error = Document::parse(text.as_bytes(), content_type).expect_err(text).to_string();
    assert!(error.contains(with), "{error:?} does not say {with:?}");
}

#[test]
fn a_document_is_a_manifest_or_an_index_and_says_which() {
    let layer = descriptor(LAYER_TYPES[1], "");
    let good = manifest(&layer);
    for content_type in
        [None, Some(OCI_MANIFEST), Some("application/json"), Some("text/plain; charset=utf-8")]
    {
        let document = Document::parse(good.as_bytes(), content_type).unwrap();
        assert!(matches!(document, Document::Manifest(_)));
        assert_eq!(document.media_type(), OCI_MANIFEST);
    }
    refuses(&good, Some(OCI_INDEX), "at once");
    refuses(&good, Some("text/html"), "text/html");
    let typed = good.replacen('{', &format!(r#"{{"mediaType":"{DOCKER_MANIFEST}","#), 1);
    assert!(Document::parse(typed.as_bytes(), Some(DOCKER_MANIFEST)).is_ok());
    refuses(&typed, Some(OCI_MANIFEST), "Content-Type");
    let both = good.replacen('{', r#"{"manifests":[],"#, 1);
    refuses(&both, Some(OCI_MANIFEST), "at once");
    refuses(&both, None, "at once");
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    refuses(r#"{"schemaVersion":1,"fsLayers":[]}"#, None, "schema 1 is not supported");
    refuses(r#"{"schemaVersion":3}"#, None, "schemaVersion");
    refuses(&manifest(""), None, "no layers");
    refuses(&manifest(&descriptor("application/vnd.x.encrypted", "")), None, "application/vnd.x.encrypted");
    let helm = manifest(&descriptor(LAYER_TYPES[1], ""))
        .replace(CONFIG_TYPES[0], "application/vnd.cncf.helm.config.v1+json");
    refuses(&helm, None, "not a container image but application/vnd.cncf.helm");
    let empty = manifest(&descriptor(LAYER_TYPES[1], ""))
        .replace(CONFIG_TYPES[0], "application/vnd.oci.empty.v1+json");
    refuses(&empty, None, "not a container image");
    refuses("<html>", None, "not valid");
    refuses(&format!("{}x", manifest(&descriptor(LAYER_TYPES[1], ""))), None, "not valid");
    let many = vec![descriptor(LAYER_TYPES[1], ""); 501].join(",");
    refuses(&manifest(&many), None, "the limit is 500");
}

#[test]
fn sizes_are_numbers_that_can_be() {
    for size in ["-1", "\"7\"", "1.5", "9223372036854775808", "99999999999999999999", "null"] {
        let layer = descriptor(LAYER_TYPES[1], "").replace("\"size\":7", &format!("\"size\":{size}"));
        assert!(Document::parse(manifest(&layer).as_bytes(), None).is_err(), "{size}");
    }
}

#[test]
fn the_first_entry_for_this_machine_is_taken() {
    let chosen = |text: &str| {
        let Document::Index(index) = Document::parse(text.as_bytes(), None).unwrap() else {
            panic!("{text}")
        };
        let position =
            index.choose().map(|entry| index.entries.iter().position(|other| std::ptr::eq(entry, other)));
        position.map(Option::unwrap)
    };
    let arm = r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#;
    let amd = r#"{"os":"linux","architecture":"amd64"}"#;
    let v1 = r#"{"os":"linux","architecture":"amd64","variant":"v1"}"#;
    let v3 = r#"{"os":"linux","architecture":"amd64","variant":"v3"}"#;
    let windows = r#"{"os":"windows","architecture":"amd64"}"#;
    let unknown = r#"{"os":"unknown","architecture":"unknown"}"#;
    assert_eq!(chosen(&index(&[arm, amd, amd])), Some(1));
    assert_eq!(chosen(&index(&[v3, windows, v1])), Some(2));
    assert_eq!(chosen(&index(&[arm, v3, windows, unknown])), None);
    assert_eq!(chosen(&index(&[arm, "null"])), Some(1));
    assert_eq!(chosen(&index(&[])), None);
    let nested = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor(OCI_INDEX, ""));
    assert_eq!(chosen(&nested), Some(0));

    let Document::Index(index) = Document::parse(index(&[arm, unknown]).as_bytes(), None).unwrap() else {
        panic!()
    };
    let platforms: Vec<String> = index.platforms().iter().map(|(platform, _)| platform.to_string()).collect();
    assert_eq!(platforms, ["linux/arm64/v8"]);
}
