//! Projects.

use model::project::Project;
use model::{App, AppId, AppName, CompanyId, ProjectId, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::query::{List, Query};
use crate::{CompanyStore, Listed, Page, Result, api_keys, apps, row};

/// The system name of a project whose display name has no letter or digit.
const NAMELESS: &str = "project";
const LONGEST_NAME: usize = 63;

impl CompanyStore {
    /// Adds a project. Its system name is derived from the display name; when the company has it already, the
    /// first free one of `NAME-2`, `NAME-3` and so on.
    pub async fn create_project(&self, display_name: &str) -> Result<Project> {
        let (company, display_name) = (self.company, display_name.to_owned());
        self.store
            .write(move |db| {
                let now = Timestamp::now();
                let name = free_name(db, company, &display_name)?;
                let id = ProjectId::new();
                let project = Project { id, company, name, display_name, created_at: now, updated_at: now };
                insert(db, &project)?;
                Ok(project)
            })
            .await
    }

    /// One project.
    pub async fn project(&self, id: ProjectId) -> Result<Project> {
        let company = self.company;
        self.store.read(move |db| find(db, id, company)).await
    }

    /// Projects by system name.
    pub async fn projects(&self, page: Page) -> Result<Listed<Project>> {
        const PROJECTS: List = List { columns: "*", from: "projects WHERE company = ?1", order: "name" };
        let company = self.id();
        self.store.read(move |db| db.part(&PROJECTS, &[&company], page, project)).await
    }

    /// Changes the display name; the system name stays.
    pub async fn rename_project(&self, id: ProjectId, display_name: &str) -> Result<Project> {
        let (company, display_name) = (self.company, display_name.to_owned());
        let sql = "UPDATE projects SET display_name = ?3, updated_at = ?4 WHERE id = ?1 AND company = ?2";
        self.store
            .write(move |db| {
                let now = row::nanoseconds(Timestamp::now());
                db.change_one(sql, params![id.to_string(), company.to_string(), display_name, now])?;
                find(db, id, company)
            })
            .await
    }

    /// Removes a project. Its applications stay, without a project; capabilities of keys for it go.
    pub async fn delete_project(&self, id: ProjectId) -> Result<()> {
        let company = self.company;
        self.store
            .write_on_reserve(move |db| {
                let (id, owner) = (id.to_string(), company.to_string());
                db.change(
                    "UPDATE apps SET project = NULL WHERE project = ?1 AND company = ?2",
                    [&id, &owner],
                )?;
                db.change_one("DELETE FROM projects WHERE id = ?1 AND company = ?2", [&id, &owner])?;
                api_keys::drop_capabilities(db, company, &id)
            })
            .await
    }

    /// The applications of a project, oldest first.
    pub async fn project_apps(&self, id: ProjectId) -> Result<Vec<App>> {
        let company = self.company;
        let sql = "SELECT * FROM apps WHERE project = ?1 AND company = ?2 ORDER BY seq";
        self.store
            .read(move |db| {
                find(db, id, company)?;
                db.all(sql, [id.to_string(), company.to_string()], apps::app)
            })
            .await
    }

    /// Puts an application into a project, out of the one it was in.
    pub async fn add_to_project(&self, id: ProjectId, app: AppId) -> Result<()> {
        let (app, company, id, now) =
            (app.to_string(), self.id(), id.to_string(), row::nanoseconds(Timestamp::now()));
        let sql = "UPDATE apps SET project = ?3, updated_at = ?4 WHERE id = ?1 AND company = ?2";
        self.store.write(move |db| db.change_one(sql, params![app, company, id, now])).await
    }

    /// Takes an application out of a project; not found when it is not in it.
    pub async fn remove_from_project(&self, id: ProjectId, app: AppId) -> Result<()> {
        let (app, company, id, now) =
            (app.to_string(), self.id(), id.to_string(), row::nanoseconds(Timestamp::now()));
        let sql =
            "UPDATE apps SET project = NULL, updated_at = ?4 WHERE id = ?1 AND company = ?2 AND project = ?3";
        self.store.write(move |db| db.change_one(sql, params![app, company, id, now])).await
    }
}

fn free_name(db: &Connection, company: CompanyId, display_name: &str) -> Result<String> {
    let sql = "SELECT name FROM projects WHERE company = ?1";
    let taken: Vec<String> = db.all(sql, [company.to_string()], |row| Ok(row.get(0)?))?;
    Ok(first_free(&taken, display_name))
}

fn first_free(taken: &[String], display_name: &str) -> String {
    let base = AppName::derive(display_name).map_or_else(|_| NAMELESS.to_owned(), String::from);
    let numbered = (2..).map(|number| {
        let suffix = format!("-{number}");
        let kept = base.len().min(LONGEST_NAME - suffix.len());
        format!("{}{suffix}", base[..kept].trim_end_matches('-'))
    });
    let mut candidates = std::iter::once(base.clone()).chain(numbered);
    candidates.find(|name| !taken.contains(name)).expect("more numbers than projects")
}

fn find(db: &Connection, id: ProjectId, company: CompanyId) -> Result<Project> {
    let sql = "SELECT * FROM projects WHERE id = ?1 AND company = ?2";
    db.one(sql, [id.to_string(), company.to_string()], project)
}

fn insert(db: &Connection, project: &Project) -> Result<()> {
    db.change_one(
        "INSERT INTO projects (id, company, name, display_name, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            project.id.to_string(),
            project.company.to_string(),
            project.name,
            project.display_name,
            row::nanoseconds(project.created_at),
            row::nanoseconds(project.updated_at),
        ],
    )
}

fn project(row: &Row<'_>) -> Result<Project> {
    Ok(Project {
        id: row::parsed(row, "id")?,
        company: row::parsed(row, "company")?,
        name: row.get("name")?,
        display_name: row.get("display_name")?,
        created_at: row::at(row, "created_at")?,
        updated_at: row::at(row, "updated_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_when_taken() {
        let taken = ["shop", "shop-2", "project"].map(String::from);
        assert_eq!(first_free(&[], "My Shop!"), "my-shop");
        assert_eq!(first_free(&taken, "Shop"), "shop-3");
        assert_eq!(first_free(&taken, "☕"), "project-2");
        let long = "a".repeat(63);
        assert_eq!(first_free(std::slice::from_ref(&long), &long), format!("{}-2", "a".repeat(61)));
    }
}
