//! How the containers of an application are, in words.

use wire::{Condition, InstanceCondition};

/// One row a container: `container` when there is one, else `container 1`, `container 2` and so on.
pub fn rows(condition: Option<&Condition>) -> Vec<(String, String)> {
    let Some(condition) = condition else { return vec![("container".to_owned(), "-".to_owned())] };
    let several = condition.instances.len() > 1;
    let name = |instance: &InstanceCondition| match several {
        true => format!("container {}", instance.instance),
        false => "container".to_owned(),
    };
    condition.instances.iter().map(|instance| (name(instance), words(instance))).collect()
}

/// `running`, or what happened to it and when it is started again.
fn words(instance: &InstanceCondition) -> String {
    let mut words = instance.state.replace('_', " ");
    match instance.restarts {
        0 => {}
        1 => words += ", started again once",
        count => words += &format!(", started again {count} times"),
    }
    if let Some(end) = &instance.last_end {
        words += &format!(", last end: {end}");
    }
    if let Some(next) = &instance.next_start_at {
        words += &format!(", next start {next}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_container_has_a_row_that_says_what_happened_to_it() {
        let instance = |number: u16, state: &str, is_ready: bool, restarts: u32| {
            json!({"instance": number, "state": state, "is_ready": is_ready, "restarts": restarts, "last_end": null,
                   "last_end_at": null, "next_start_at": null})
        };
        let condition = |instances: serde_json::Value| -> Condition {
            let all = json!({"state": "running", "restarts": 0, "last_end": null, "last_end_at": null,
                             "next_start_at": null, "instances": instances});
            serde_json::from_value(all).unwrap()
        };
        let pair = |name: &str, words: &str| (name.to_owned(), words.to_owned());
        assert_eq!(rows(None), [pair("container", "-")]);
        let one = condition(json!([instance(1, "running", true, 1)]));
        assert_eq!(rows(Some(&one)), [pair("container", "running, started again once")]);
        let mut down = instance(2, "backing_off", false, 2);
        down["last_end"] = json!("code 3");
        down["next_start_at"] = json!("2026-01-01T00:00:00Z");
        let two = condition(json!([instance(1, "not_ready", false, 0), down]));
        assert_eq!(
            rows(Some(&two)),
            [
                pair("container 1", "not ready"),
                pair(
                    "container 2",
                    "backing off, started again 2 times, last end: code 3, next start 2026-01-01T00:00:00Z"
                ),
            ]
        );
    }
}
