//! How the containers of a serving release are, as their keeper sees them.

use model::Timestamp;

/// How one container is, or all of an application together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub phase: Running,
    /// How often it was started again since this control plane looks after it.
    pub restarts: u32,
    /// How it ended last, in words: `code 3`, `killed: out of memory at 512 MB`, or why it did not come up.
    pub last_end: Option<String>,
    pub last_end_at: Option<Timestamp>,
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// It answers.
    Running,
    /// It runs and does not answer as its readiness probe wants.
    NotReady,
    /// It is being started or asked whether it is ready.
    Starting,
    /// It ended, and is started again at this moment.
    BackingOff { until: Timestamp },
}

impl Condition {
    /// Before anything is known.
    pub const NEW: Self = Self { phase: Running::Starting, restarts: 0, last_end: None, last_end_at: None };

    /// All containers of an application in one: the phase of the one that is worst off, all restarts, the latest end.
    /// `None` without any.
    pub fn of_all(instances: &[Condition]) -> Option<Self> {
        let worst = instances.iter().max_by_key(|condition| condition.phase.badness())?;
        let latest = instances.iter().max_by_key(|condition| condition.last_end_at)?;
        Some(Self {
            phase: worst.phase,
            restarts: instances.iter().map(|condition| condition.restarts).sum(),
            last_end: latest.last_end.clone(),
            last_end_at: latest.last_end_at,
        })
    }
}

impl Running {
    fn badness(self) -> u8 {
        match self {
            Running::Running => 0,
            Running::NotReady => 1,
            Running::Starting => 2,
            Running::BackingOff { .. } => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_instance_speaks_for_all() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let running = Condition { phase: Running::Running, ..Condition::NEW };
        let until = at(100);
        let crashed = Condition {
            phase: Running::BackingOff { until },
            restarts: 2,
            last_end: Some("code 3".into()),
            last_end_at: Some(at(50)),
        };
        let earlier = Condition {
            restarts: 1,
            last_end: Some("code 0".into()),
            last_end_at: Some(at(10)),
            ..running.clone()
        };
        let all = Condition::of_all(&[running.clone(), crashed, earlier]).unwrap();
        assert_eq!((all.phase, all.restarts), (Running::BackingOff { until }, 3));
        assert_eq!(all.last_end.as_deref(), Some("code 3"));
        assert_eq!(Condition::of_all(&[running.clone(), running.clone()]), Some(running));
        assert_eq!(Condition::of_all(&[]), None);
    }
}
