//! How an application is, from how each of its containers is.

use model::Timestamp;

use crate::platform::InstanceCondition;

/// All containers in one: the state of the one that is worst off, all restarts, the latest end. `None` when none is
/// looked after.
pub fn show(instances: &[InstanceCondition]) -> Option<wire::Condition> {
    let worst = instances.iter().max_by_key(|instance| badness(instance.state))?;
    let latest = instances.iter().max_by_key(|instance| instance.last_end_at)?;
    Some(wire::Condition {
        state: worst.state.to_owned(),
        restarts: instances.iter().map(|instance| instance.restarts).sum(),
        last_end: latest.last_end.clone(),
        last_end_at: moment(latest.last_end_at),
        next_start_at: moment(worst.next_start_at),
        instances: instances.iter().map(show_one).collect(),
    })
}

fn show_one(instance: &InstanceCondition) -> wire::InstanceCondition {
    wire::InstanceCondition {
        instance: instance.instance,
        state: instance.state.to_owned(),
        is_ready: instance.is_ready,
        restarts: instance.restarts,
        last_end: instance.last_end.clone(),
        last_end_at: moment(instance.last_end_at),
        next_start_at: moment(instance.next_start_at),
    }
}

fn badness(state: &str) -> u8 {
    match state {
        "backing_off" => 3,
        "starting" => 2,
        "not_ready" => 1,
        _ => 0,
    }
}

fn moment(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(instance: u16, state: &'static str, restarts: u32, end: Option<i64>) -> InstanceCondition {
        InstanceCondition {
            instance,
            state,
            is_ready: state == "running",
            restarts,
            last_end: end.map(|second| format!("code {second}")),
            last_end_at: end.and_then(|second| Timestamp::from_second(second).ok()),
            next_start_at: None,
        }
    }

    #[test]
    fn the_worst_container_speaks_for_all() {
        assert_eq!(show(&[]), None);
        let all = [
            instance(1, "running", 0, None),
            instance(2, "backing_off", 2, Some(3)),
            instance(3, "not_ready", 1, Some(7)),
        ];
        let shown = show(&all).unwrap();
        assert_eq!(
            (shown.state.as_str(), shown.restarts, shown.last_end.as_deref()),
            ("backing_off", 3, Some("code 7"))
        );
        let each: Vec<_> =
            shown.instances.iter().map(|one| (one.instance, one.is_ready, one.restarts)).collect();
        assert_eq!(each, [(1, true, 0), (2, false, 2), (3, false, 1)], "all of them, in their order");
        assert_eq!(show(&all[2..]).unwrap().state, "not_ready");
    }
}
