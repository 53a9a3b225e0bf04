//! Which user a container runs as: a pure function of the image's setting and its `/etc/passwd` and
//! `/etc/group`. A name that is not there or a number that does not fit is refused; it never becomes root.

use crate::Refusal;
use crate::bundle::Identity;

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: Vec<&'a str>,
}

/// Resolves `""`, `user`, `uid`, `user:group` or `uid:gid` (OCI image-spec, config.md, "User").
pub(super) fn resolve(user: &str, passwd: &str, group: &str) -> Result<Identity, Refusal> {
    let accounts: Vec<_> = passwd.lines().filter_map(parse_account).collect();
    let groups: Vec<_> = group.lines().filter_map(parse_group).collect();
    let (user, group) = match user.split_once(':') {
        Some((_, "")) => return Err(refusal("user", user, "no group follows the colon")),
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };

    let (uid, account) = find_user(user, &accounts)?;
    let gid = match group {
        Some(group) => find_group(group, &groups)?,
        // As every engine does it: a bare number that no line lists has root's group, not root's rights.
        None => account.map_or(0, |account| account.gid),
    };
    let is_member = |found: &&Group| account.is_some_and(|account| found.members.contains(&account.name));
    let additional_gids = match group {
        Some(_) => Vec::new(),
        None => {
            groups.iter().filter(is_member).map(|found| found.gid).filter(|other| *other != gid).collect()
        }
    };
    let default_home = if uid == 0 { "/root" } else { "/" };
    let home =
        account.map(|account| account.home).filter(|home| home.starts_with('/')).unwrap_or(default_home);
    Ok(Identity { uid, gid, additional_gids, home: home.to_owned() })
}

fn find_user<'a>(user: &str, accounts: &'a [Account<'a>]) -> Result<(u32, Option<&'a Account<'a>>), Refusal> {
    if let Some(account) = accounts.iter().find(|account| account.name == user) {
        return Ok((account.uid, Some(account)));
    }
    let uid = match user {
        "" => 0,
        // An image of one program needs no list of users to have a root.
        "root" if accounts.is_empty() => 0,
        _ => number(user)
            .map_err(|why| refusal("user", user, why.unwrap_or("/etc/passwd does not list it")))?,
    };
    Ok((uid, accounts.iter().find(|account| account.uid == uid)))
}

fn find_group(group: &str, groups: &[Group]) -> Result<u32, Refusal> {
    if let Some(found) = groups.iter().find(|found| found.name == group) {
        return Ok(found.gid);
    }
    match group {
        "root" if groups.is_empty() => Ok(0),
        _ => {
            number(group).map_err(|why| refusal("group", group, why.unwrap_or("/etc/group does not list it")))
        }
    }
}

/// `Err(None)` when the text is no number at all. The highest 32-bit number means "no user" to the kernel.
fn number(text: &str) -> Result<u32, Option<&'static str>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(None);
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(Some("a number is written without leading zeros"));
    }
    match text.parse() {
        Ok(u32::MAX) | Err(_) => Err(Some("the highest number is 4294967294")),
        Ok(number) => Ok(number),
    }
}

/// passwd(5): name, password, uid, gid, comment, home, shell. Other lines are passed over.
fn parse_account(line: &str) -> Option<Account<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = number(fields.nth(1)?).ok()?;
    let gid = number(fields.next()?).ok()?;
    let home = fields.nth(1).unwrap_or_default();
    Some(Account { name, uid, gid, home })
}

/// group(5): name, password, gid, members.
fn parse_group(line: &str) -> Option<Group<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = number(fields.nth(1)?).ok()?;
    let members = fields.next().unwrap_or_default().split(',').collect();
    Some(Group { name, gid, members })
}

fn refusal(kind: &str, name: &str, why: &str) -> Refusal {
    Refusal::config(
        format!("the image runs as {kind} {name:?}, which cannot be: {why}"),
        "set USER in the image to a user that it has, or to a number",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                          broken:x:four:0\n\
                          app:x:1000:1001:App:/home/app:/bin/sh\n\
                          big:x:4294967295:0::/:\n";
    const GROUP: &str = "root:x:0:\ngrp:x:2000:app\nother:x:3000:someone,app\napp:x:1001:app\n";

    fn check(user: &str, expected: Result<(u32, u32, &[u32], &str), &str>) {
        match (resolve(user, PASSWD, GROUP), expected) {
            (Ok(found), Ok((uid, gid, additional, home))) => {
                let expected = Identity { uid, gid, additional_gids: additional.into(), home: home.into() };
                assert_eq!(found, expected, "{user}");
            }
            (Err(refusal), Err(words)) => assert!(refusal.message.contains(words), "{user}: {refusal}"),
            (found, expected) => panic!("{user}: {found:?} instead of {expected:?}"),
        }
    }

    /// Row I19 of the list of faults.
    #[test]
    fn a_user_is_exactly_the_one_named_or_refused() {
        check("", Ok((0, 0, &[], "/root")));
        check("0", Ok((0, 0, &[], "/root")));
        check("root", Ok((0, 0, &[], "/root")));
        check("app", Ok((1000, 1001, &[2000, 3000], "/home/app")));
        check("1000", Ok((1000, 1001, &[2000, 3000], "/home/app")));
        check("app:grp", Ok((1000, 2000, &[], "/home/app")));
        check("1000:2000", Ok((1000, 2000, &[], "/home/app")));
        check("4711", Ok((4711, 0, &[], "/")));
        check("4294967294:7", Ok((4294967294, 7, &[], "/")));

        check("missing", Err("/etc/passwd does not list it"));
        check("broken", Err("/etc/passwd does not list it"));
        check("big", Err("/etc/passwd does not list it"));
        check("app:missing", Err("/etc/group does not list it"));
        check("app:", Err("no group follows"));
        check("-1", Err("/etc/passwd does not list it"));
        check("00", Err("leading zeros"));
        check("4294967295", Err("highest number"));
        check("4294967296", Err("highest number"));
        check("99999999999999999999", Err("highest number"));
        check("1000:4294967296", Err("highest number"));
    }

    #[test]
    fn an_image_without_a_list_of_users_has_root_and_numbers_only() {
        assert_eq!(resolve("root:root", "", "").unwrap().uid, 0);
        assert_eq!(resolve("65532:65532", "", "").unwrap().gid, 65532);
        assert!(resolve("nobody", "", "").is_err());
        assert!(resolve("root", "app:x:1:1::/:", "").is_err());
    }
}
