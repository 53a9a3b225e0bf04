//! Who there is, and what they may do.

use std::collections::{HashMap, HashSet};

#[derive(Debug, Default)]
pub(super) struct Users {
    known: HashMap<String, User>,
    public: HashSet<String>,
}

#[derive(Debug)]
struct User {
    secret: Secret,
    has_scope: bool,
    /// Repository to actions.
    rights: HashMap<String, Vec<String>>,
}

#[derive(Debug)]
enum Secret {
    Good(String),
    Expired(String),
    Revoked,
}

/// What a login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Good,
    /// Good, but not for pulling.
    NoScope,
    Expired,
    Wrong,
}

impl Users {
    pub fn make(&mut self, name: &str, secret: &str) {
        let user = User { secret: Secret::Good(secret.to_owned()), has_scope: true, rights: HashMap::new() };
        self.known.insert(name.to_owned(), user);
    }

    pub fn grant(&mut self, name: &str, repository: &str, actions: &[&str]) {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        self.of(name).rights.insert(repository.to_owned(), actions);
    }

    pub fn publish(&mut self, repository: &str) {
        self.public.insert(repository.to_owned());
    }

    pub fn rotate(&mut self, name: &str, secret: &str) {
        self.of(name).secret = Secret::Good(secret.to_owned());
    }

    pub fn revoke(&mut self, name: &str) {
        self.of(name).secret = Secret::Revoked;
    }

    pub fn expire(&mut self, name: &str) {
        let user = self.of(name);
        if let Secret::Good(secret) = &user.secret {
            user.secret = Secret::Expired(secret.clone());
        }
    }

    pub fn without_scope(&mut self, name: &str) {
        self.of(name).has_scope = false;
    }

    pub fn judge(&self, name: &str, secret: &str) -> Judged {
        match self.known.get(name) {
            Some(user) => match &user.secret {
                Secret::Good(good) if good == secret && user.has_scope => Judged::Good,
                Secret::Good(good) if good == secret => Judged::NoScope,
                Secret::Expired(old) if old == secret => Judged::Expired,
                _ => Judged::Wrong,
            },
            None => Judged::Wrong,
        }
    }

    /// Which of the wanted actions a user, or nobody in particular, may do.
    pub fn allowed(&self, name: Option<&str>, repository: &str, wanted: &[&str]) -> Vec<String> {
        let own = name.and_then(|name| self.known.get(name)?.rights.get(repository));
        let may = |action: &&&str| {
            own.is_some_and(|own| own.iter().any(|right| right == **action))
                || (**action == "pull" && self.public.contains(repository))
        };
        wanted.iter().filter(may).map(|action| (*action).to_owned()).collect()
    }

    fn of(&mut self, name: &str) -> &mut User {
        self.known.get_mut(name).expect("a test makes a user before it changes one")
    }
}
