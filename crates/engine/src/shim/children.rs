//! Ended children: looking at one before it is collected, whichever it is.

use nix::unistd::Pid;
use rustix::process::WaitOptions;

/// A child that has ended and is not collected.
pub(super) struct Ended {
    pub pid: Pid,
    /// 0 to 255; 128 + n for signal n.
    pub code: i32,
}

/// Any one; it stays uncollected, so that its number stays its own.
#[expect(unsafe_code, reason = "the safe interfaces do not tell which child it is, or know not every signal")]
pub(super) fn any_ended() -> Option<Ended> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the structure is plain numbers, for which zero is valid; the kernel fills it in for an ended child and
    // leaves the number of the process zero when there is none.
    let (pid, status, code) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        if libc::waitid(libc::P_ALL, 0, &raw mut info, flags) != 0 {
            return None;
        }
        (info.si_pid(), info.si_status(), info.si_code)
    };
    let code = if code == libc::CLD_EXITED { status } else { 128 + status };
    (pid > 0).then_some(Ended { pid: Pid::from_raw(pid), code })
}

/// Says whether it was collected; it must have ended.
pub(super) fn collect(child: Pid) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(child.as_raw()) else { return false };
    matches!(rustix::process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_)))
}

/// Every child, ended ones included; none where the kernel does not list them (proc_pid_task(5), `children`).
pub(super) fn all() -> Vec<Pid> {
    let list = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_child_is_seen_until_it_is_collected() {
        // Other tests of this process have children too, so it is looked for among them.
        let child = std::process::Command::new("/bin/sleep").arg("1000").spawn();
        let mut child = child.unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        assert!(all().contains(&pid));
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let ended = loop {
            match any_ended() {
                Some(ended) if ended.pid == pid => break ended,
                _ => assert!(std::time::Instant::now() < deadline),
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        };
        assert_eq!(ended.code, 137);
        assert!(collect(pid) && !collect(pid));
        let _ = child.wait();
    }
}
