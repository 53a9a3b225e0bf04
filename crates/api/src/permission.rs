//! What can be allowed: permissions, the roles that hold them, and the powers of one key.

use model::access::{ApiKey, Capability, Role};
use uuid::Uuid;

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal from $role:ident),* $(,)?) => {
        /// One thing that can be allowed, written `RESOURCE:ACTION`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[$doc])* $variant,)*
        }

        impl Permission {
            pub const ALL: &[Permission] = &[$(Permission::$variant),*];

            /// The word of a capability.
            pub fn as_str(self) -> &'static str {
                match self { $(Permission::$variant => $text,)* }
            }

            /// The least role that holds it for the whole company.
            pub fn least_role(self) -> Role {
                match self { $(Permission::$variant => Role::$role,)* }
            }
        }
    };
}

permissions! {
    AppRead = "APP:READ" from Viewer,
    AppCreate = "APP:CREATE" from Developer,
    AppUpdate = "APP:UPDATE" from Developer,
    AppDelete = "APP:DELETE" from Developer,
    /// Deploy, roll back, cancel, suspend and activate.
    AppDeploy = "APP:DEPLOY" from Developer,
    /// Values of variables are often secrets, so a viewer does not see them. The resource is the application.
    EnvVarRead = "ENV_VAR:READ" from Developer,
    EnvVarUpdate = "ENV_VAR:UPDATE" from Developer,
    ImageInspect = "IMAGE:INSPECT" from Developer,
    /// Names only. Whoever may read a credential may list it too.
    CredentialList = "REGISTRY_CREDENTIAL:LIST" from Viewer,
    /// See which account it is, and pick it for an application.
    CredentialRead = "REGISTRY_CREDENTIAL:READ" from Developer,
    CredentialCreate = "REGISTRY_CREDENTIAL:CREATE" from Admin,
    /// Change and try the login.
    CredentialUpdate = "REGISTRY_CREDENTIAL:UPDATE" from Admin,
    CredentialDelete = "REGISTRY_CREDENTIAL:DELETE" from Admin,
    ProjectRead = "PROJECT:READ" from Viewer,
    ProjectCreate = "PROJECT:CREATE" from Developer,
    ProjectUpdate = "PROJECT:UPDATE" from Developer,
    ProjectDelete = "PROJECT:DELETE" from Developer,
    ApiKeyRead = "API_KEY:READ" from Admin,
    ApiKeyCreate = "API_KEY:CREATE" from Admin,
    ApiKeyUpdate = "API_KEY:UPDATE" from Admin,
    ApiKeyDelete = "API_KEY:DELETE" from Admin,
    // New ones come last: the place of each is in its id.
    RepositoryInspect = "REPOSITORY:INSPECT" from Developer,
    /// Names only. Whoever may read a Git credential may list it too.
    GitCredentialList = "GIT_CREDENTIAL:LIST" from Viewer,
    /// See which account it is, and pick it for an application.
    GitCredentialRead = "GIT_CREDENTIAL:READ" from Developer,
    GitCredentialCreate = "GIT_CREDENTIAL:CREATE" from Admin,
    GitCredentialUpdate = "GIT_CREDENTIAL:UPDATE" from Admin,
    GitCredentialDelete = "GIT_CREDENTIAL:DELETE" from Admin,
}

/// Stands for every permission, as the owner has them.
const EVERYTHING: &str = "COMPANY:*";

impl Permission {
    /// Whether a capability's word covers this: the word itself, `RESOURCE:*` or `COMPANY:*`, or the word of what it
    /// is a part of.
    fn is_covered_by(self, word: &str) -> bool {
        let resource = self.as_str().split_once(':').map_or("", |(resource, _)| resource);
        word == self.as_str()
            || word == EVERYTHING
            || word.strip_suffix(":*") == Some(resource)
            || self.is_part_of().is_some_and(|whole| whole.is_covered_by(word))
    }

    /// Listing is our own word; keys made for the hosted service have only the one for reading.
    fn is_part_of(self) -> Option<Permission> {
        match self {
            Permission::CredentialList => Some(Permission::CredentialRead),
            Permission::GitCredentialList => Some(Permission::GitCredentialRead),
            _ => None,
        }
    }

    /// Fixed ids for the capabilities that a role stands for.
    fn id(self) -> Uuid {
        Uuid::from_u128(0x5a12e002_0000_4000_8000_000000000000 + self as u128 + 1)
    }
}

/// For which records a permission is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every record of the company.
    All,
    /// These only; perhaps none.
    Only(Vec<Uuid>),
}

impl Scope {
    pub fn covers(&self, id: Uuid) -> bool {
        match self {
            Scope::All => true,
            Scope::Only(ids) => ids.contains(&id),
        }
    }
}

/// What the holder of a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Powers {
    roles: Vec<Role>,
    capabilities: Vec<Capability>,
}

impl Powers {
    pub fn of(key: &ApiKey) -> Self {
        Self::new(key.roles.clone(), key.capabilities.clone())
    }

    pub fn new(roles: Vec<Role>, capabilities: Vec<Capability>) -> Self {
        Self { roles, capabilities }
    }

    /// For which records the permission is held.
    pub fn scope(&self, permission: Permission) -> Scope {
        if self.roles.iter().any(|role| *role >= permission.least_role()) {
            return Scope::All;
        }
        let mut only = Vec::new();
        for capability in self.capabilities.iter().filter(|held| permission.is_covered_by(&held.permission)) {
            match &capability.id_resource {
                None => return Scope::All,
                // A capability for a resource whose id is no UUID of ours gives nothing.
                Some(id) => only.extend(Uuid::parse_str(id)),
            }
        }
        Scope::Only(only)
    }

    /// Whether everything in `other` is held here too, so that handing it on gives nobody more than they have.
    pub fn include(&self, other: &Powers) -> bool {
        let highest = |powers: &Powers| powers.roles.iter().max().copied();
        if highest(self) == Some(Role::Owner) {
            return true;
        }
        let has_everything = other.capabilities.iter().any(|held| held.permission == EVERYTHING);
        if highest(other) > highest(self) || has_everything {
            return false;
        }
        Permission::ALL.iter().all(|permission| match (self.scope(*permission), other.scope(*permission)) {
            (Scope::All, _) => true,
            (Scope::Only(_), Scope::All) => false,
            (own @ Scope::Only(_), Scope::Only(ids)) => ids.iter().all(|id| own.covers(*id)),
        })
    }

    /// Own capabilities first, then those that the roles stand for.
    pub fn effective(&self) -> Vec<Capability> {
        let mut all = self.capabilities.clone();
        for permission in Permission::ALL {
            let from_role = self.roles.iter().any(|role| *role >= permission.least_role());
            let is_listed =
                |held: &Capability| held.permission == permission.as_str() && held.id_resource.is_none();
            if from_role && !all.iter().any(is_listed) {
                let permission_word = permission.as_str().to_owned();
                all.push(Capability { id: permission.id(), permission: permission_word, id_resource: None });
            }
        }
        all
    }
}

/// Whether a text has the form `RESOURCE:ACTION`. Words that are not ours are kept, as later parts bring more,
/// and allow nothing.
pub fn is_permission_word(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-'))
    };
    text.len() <= 100
        && text
            .split_once(':')
            .is_some_and(|(resource, action)| is_word(resource) && (action == "*" || is_word(action)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capability(permission: &str, id_resource: Option<Uuid>) -> Capability {
        let id_resource = id_resource.map(|id| id.to_string());
        Capability { id: Uuid::nil(), permission: permission.to_owned(), id_resource }
    }

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    #[test]
    fn roles_and_capabilities_add_up() {
        let viewer = Powers::new(vec![Role::Viewer], vec![capability("APP:DEPLOY", Some(ONE))]);
        assert_eq!(viewer.scope(Permission::AppRead), Scope::All);
        assert_eq!(viewer.scope(Permission::AppDeploy), Scope::Only(vec![ONE]));
        assert_eq!(viewer.scope(Permission::ApiKeyRead), Scope::Only(vec![]));
        let wild = Powers::new(vec![], vec![capability("APP:*", None)]);
        assert_eq!(wild.scope(Permission::AppDelete), Scope::All);
        assert_eq!(wild.scope(Permission::ProjectRead), Scope::Only(vec![]));
        let odd = Powers::new(
            vec![],
            vec![capability("APP", None), capability("*:*", None), capability("AP:*", None)],
        );
        assert!(Permission::ALL.iter().all(|permission| odd.scope(*permission) == Scope::Only(vec![])));
    }

    #[test]
    fn reading_a_credential_covers_listing_it() {
        let key = Powers::new(vec![], vec![capability("REGISTRY_CREDENTIAL:READ", Some(ONE))]);
        assert_eq!(key.scope(Permission::CredentialList), Scope::Only(vec![ONE]));
        let lists = Powers::new(vec![], vec![capability("REGISTRY_CREDENTIAL:LIST", None)]);
        assert_eq!(lists.scope(Permission::CredentialRead), Scope::Only(vec![]));
        assert_eq!(
            Powers::new(vec![Role::Viewer], vec![]).scope(Permission::CredentialRead),
            Scope::Only(vec![])
        );
    }

    #[test]
    fn nobody_hands_on_more_than_they_have() {
        let role = |role| Powers::new(vec![role], vec![]);
        let only = |permission, id| Powers::new(vec![], vec![capability(permission, id)]);
        assert!(role(Role::Owner).include(&role(Role::Owner)));
        assert!(role(Role::Owner).include(&only("COMPANY:*", None)));
        assert!(role(Role::Admin).include(&role(Role::Admin)));
        assert!(!role(Role::Admin).include(&role(Role::Owner)));
        assert!(!role(Role::Admin).include(&only("COMPANY:*", None)));
        assert!(!only("API_KEY:*", None).include(&role(Role::Viewer)));
        assert!(!only("APP:READ", Some(ONE)).include(&only("APP:READ", None)));
        assert!(!only("APP:READ", Some(ONE)).include(&only("APP:READ", Some(TWO))));
        assert!(only("APP:*", Some(ONE)).include(&only("APP:READ", Some(ONE))));
    }

    #[test]
    fn a_permission_is_two_upper_case_words() {
        for good in ["APP:READ", "API_KEY:CREATE", "COMPANY:*"] {
            assert!(is_permission_word(good), "{good}");
        }
        for bad in ["", "APP", "APP:", ":READ", "app:read", "*:*", "APP:READ:X", "APP:RE AD"] {
            assert!(!is_permission_word(bad), "{bad}");
        }
    }
}
