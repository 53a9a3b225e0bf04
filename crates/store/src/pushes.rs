//! Pushes that are told of again: by a Git server that heard no answer, by a person who has it told again, or by somebody
//! who listened.

use model::deployment::State;
use model::git::{GitOrder, Revision};
use model::{Deployment, Trigger};
use rusqlite::{Connection, params};

use crate::Result;
use crate::deployments::deployment;
use crate::query::Query;

/// What the same push started, when this is one that was told of before.
///
/// A push is a step of the branch from one commit to another. A commit that is pushed back by force comes from another
/// one than at first, so it is not the same. One that failed, was cancelled or skipped may be tried again, as long as
/// nothing was pushed after it: the branch has gone on then, and what is told is old.
pub fn told_before(db: &Connection, new: &Deployment) -> Result<Option<Deployment>> {
    let (commit, before) = match &new.git {
        Some(GitOrder { revision: Revision::Commit { id, .. }, before, .. })
            if new.trigger == Trigger::AutoDeployOnPush =>
        {
            (id, before)
        }
        _ => return Ok(None),
    };
    let sql = "SELECT * FROM deployments
               WHERE app = ?1 AND company = ?2 AND \"trigger\" = ?3
                 AND json_extract(git, '$.revision.commit.id') = ?4 AND json_extract(git, '$.before') IS ?5
               ORDER BY seq DESC LIMIT 1";
    let (app, company, trigger) = (new.app.to_string(), new.company.to_string(), new.trigger.as_str());
    let Some(earlier) = db.maybe(sql, params![app, company, trigger, commit, before], deployment)? else {
        return Ok(None);
    };
    let is_undone = matches!(earlier.state, State::Failed { .. } | State::Skipped);
    Ok(if is_undone && is_newest_push(db, &earlier)? { None } else { Some(earlier) })
}

fn is_newest_push(db: &Connection, push: &Deployment) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM deployments
                                  WHERE app = ?1 AND \"trigger\" = ?2
                                    AND seq > (SELECT seq FROM deployments WHERE id = ?3))";
    let params = [&push.app.to_string(), push.trigger.as_str(), &push.id.to_string()];
    db.one(sql, params, |row| Ok(row.get(0)?))
}
