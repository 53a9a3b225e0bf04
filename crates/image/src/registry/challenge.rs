//! `WWW-Authenticate` by its grammar (RFC 9110, section 11.6.1): several challenges in one header or many,
//! quoted values with commas in them, names in any case.

use std::collections::BTreeMap;

/// One way to log in that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub scheme: String,
    /// Names in lower case.
    pub parameters: BTreeMap<String, String>,
}

impl Challenge {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// Picks Bearer, else Basic. What is not of the grammar ends the header it is in; what came before counts.
pub(super) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let all: Vec<Challenge> = headers.flat_map(parse).collect();
    let named = |scheme: &str| all.iter().find(|challenge| challenge.scheme == scheme).cloned();
    named("bearer").filter(|bearer| bearer.get("realm").is_some()).or_else(|| named("basic"))
}

fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((word, after)) = token(rest) else {
            return challenges;
        };
        let after_word = after.trim_start_matches([' ', '\t']);
        match after_word.strip_prefix('=').map(|value| value.trim_start_matches([' ', '\t'])) {
            // `name = value` belongs to the challenge before it; anything else starts one.
            Some(value) if !challenges.is_empty() && !value.is_empty() && !value.starts_with(['=', ',']) => {
                let Some((value, after)) =
                    quoted(value).or_else(|| token(value).map(|(v, r)| (v.to_owned(), r)))
                else {
                    return challenges;
                };
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                }
                rest = after;
            }
            _ => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
                rest = skip_token68(after);
            }
        }
    }
}

/// A credential-like blob behind a scheme (`Negotiate YII=`) is no parameter.
fn skip_token68(rest: &str) -> &str {
    let blob = rest.trim_start_matches([' ', '\t']);
    let end = blob.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/".contains(c))).unwrap_or(blob.len());
    let after = blob[end..].trim_start_matches('=');
    let is_blob = end > 0 && (after.trim_start().is_empty() || after.trim_start().starts_with(','));
    if is_blob { after } else { rest }
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut characters = text.strip_prefix('"')?.char_indices();
    let mut value = String::new();
    while let Some((index, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[index + 2..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(headers: &[&str]) -> Option<(String, Vec<(String, String)>)> {
        let challenge = choose(headers.iter().copied())?;
        Some((challenge.scheme, challenge.parameters.into_iter().collect()))
    }

    fn expected(scheme: &str, parameters: &[(&str, &str)]) -> Option<(String, Vec<(String, String)>)> {
        let parameters =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Some((scheme.to_owned(), parameters))
    }

    #[test]
    fn challenges_are_read_by_their_grammar() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#;
        let wanted = expected(
            "bearer",
            &[
                ("realm", "https://auth.docker.io/token"),
                ("scope", "repository:library/nginx:pull"),
                ("service", "registry.docker.io"),
            ],
        );
        assert_eq!(chosen(&[hub]), wanted);
        assert_eq!(
            chosen(&[r#"BEARER  Realm = "https://a/\"t\",x" , service=plain"#]),
            expected("bearer", &[("realm", r#"https://a/"t",x"#), ("service", "plain")])
        );
        assert_eq!(
            chosen(&[r#"Negotiate YII=, Basic realm="a, b", Bearer realm="https://a/t""#]),
            expected("bearer", &[("realm", "https://a/t")])
        );
        assert_eq!(chosen(&[r#"Negotiate"#, r#"Basic realm="r""#]), expected("basic", &[("realm", "r")]));
        assert_eq!(chosen(&["Basic"]), expected("basic", &[]));
        assert_eq!(chosen(&[r#"Bearer service="no realm""#]), None);
        assert_eq!(chosen(&["", ",,", "=", r#"Bearer realm="not closed"#]), None);
    }
}
