//! PHP: Apache, because its image is an official one and the `.htaccess` of so many applications counts there.

use serde_json::{Map, Value};

use super::start::{Start, of_procfile};
use super::text::Text;
use super::versions::{Named, choose};
use super::{Bases, Kind, NotMade, Repository, Verdict, node};

/// Minor versions of PHP 8 that are maintained ("Supported Versions"), the usual one first.
const RELEASES: [u32; 5] = [4, 5, 3, 2, 1];
const COMPOSER: &str = "composer:2.8";
/// Most applications use one of these databases; they are compiled from PHP's own sources.
const ALWAYS: [&str; 2] = ["mysqli", "pdo_mysql"];

/// Extensions that the image can compile, and the packages of Debian that they want. Those that PHP's image has are
/// not here.
const EXTENSIONS: [(&str, &[&str]); 13] = [
    ("bcmath", &[]),
    ("exif", &[]),
    ("gd", &["libfreetype-dev", "libjpeg-dev", "libpng-dev"]),
    ("gmp", &["libgmp-dev"]),
    ("intl", &["libicu-dev"]),
    ("mysqli", &[]),
    ("pcntl", &[]),
    ("pdo_mysql", &[]),
    ("pdo_pgsql", &["libpq-dev"]),
    ("pgsql", &["libpq-dev"]),
    ("soap", &["libxml2-dev"]),
    ("sockets", &[]),
    ("zip", &["libzip-dev"]),
];

pub fn look(repository: &Repository, bases: &Bases) -> Result<Verdict, NotMade> {
    let composer = composer(repository)?;
    let folders = [".", "public", "web", "www", "htdocs"];
    let has_index = |folder: &&&str| repository.has_file(&format!("{folder}/index.php"));
    let front = ["public", "web"].iter().find(has_index).or_else(|| folders.iter().find(has_index));
    let start = of_procfile(repository)?;
    let (composer, root) = match (composer, front) {
        (None, None) => return Ok(Verdict::Other),
        (Some(_), None) if start.is_none() => {
            return Ok(Verdict::Lacking(
                "composer.json is here, but no index.php, also not in public or web".to_owned(),
            ));
        }
        (composer, front) => (composer, front.copied().unwrap_or(".")),
    };
    // The programs of Heroku's own image, which this one does instead.
    let start = start.filter(|start| !start.program().starts_with("heroku-php-"));
    let text = text(repository, bases, composer.as_ref(), root, start.as_ref())?;
    Ok(Verdict::Made(text.into_string()))
}

fn text(
    repository: &Repository,
    bases: &Bases,
    composer: Option<&Map<String, Value>>,
    root: &str,
    start: Option<&Start>,
) -> Result<Text, NotMade> {
    let image = bases.image(&format!("php:8.{}-apache", version(composer)));
    let mut text = Text::new(Kind::Php);
    let mut assets = None;
    if root == "public" {
        let builds_assets;
        (text, builds_assets) = node::assets(text, repository, bases, "assets")?;
        assets =
            builds_assets.then_some("COPY --from=assets --chown=www-data:www-data /app/public /app/public");
    }
    if composer.is_some() {
        text = text.stage(&bases.image(COMPOSER), Some("composer"));
    }
    text = base_stage(text, &image, composer, root);
    let mut files = "COPY --chown=www-data:www-data . /app".to_owned();
    if composer.is_some() {
        text = vendor_stage(text, repository);
        files = "COPY --from=vendor --chown=www-data:www-data /app /app".to_owned();
    }
    let own = Start::words(&["apache2-foreground"]);
    Ok(text
        .stage("base", None)
        // The folder is made by this, and thus belongs to whom it says.
        .line(files)
        .line("WORKDIR /app")
        .maybe(assets)
        .line("USER www-data")
        .line("EXPOSE 8080")
        .line(start.unwrap_or(&own).instruction()))
}

/// PHP with its extensions, behind an Apache that takes its port from a variable, so that it needs no root.
fn base_stage(text: Text, image: &str, composer: Option<&Map<String, Value>>, root: &str) -> Text {
    let (extensions, packages) = extensions(composer);
    let folder = if root == "." { "/app".to_owned() } else { format!("/app/{root}") };
    text.stage(image, Some("base"))
        .debian_packages(&packages)
        // Without this it reads no photographs (PHP, "Image processing: installation").
        .maybe(
            extensions
                .contains(&"gd")
                .then_some("RUN docker-php-ext-configure gd --with-freetype --with-jpeg"),
        )
        .line(format!("RUN docker-php-ext-install -j2 {}", extensions.join(" ")))
        .line("ENV PORT=8080")
        .long(&[
            "RUN a2enmod rewrite headers",
            "    && sed -ri 's!^Listen 80$!Listen ${PORT}!' /etc/apache2/ports.conf",
            "    && sed -ri 's!:80>!:${PORT}>!' /etc/apache2/sites-available/000-default.conf",
            &format!(
                "    && sed -ri 's!/var/www/html!{folder}!' /etc/apache2/sites-available/000-default.conf"
            ),
            "    && sed -ri 's!/var/www/!/app/!; s!Options Indexes FollowSymLinks!Options FollowSymLinks!'",
            "        /etc/apache2/apache2.conf /etc/apache2/conf-available/docker-php.conf",
            // Files whose name begins with a dot are not for the public, but `.well-known` is.
            "    && printf '%s\\n' 'ServerName localhost' 'RedirectMatch 404 \"/\\.(?!well-known)\"'",
            "        > /etc/apache2/conf-enabled/application.conf",
        ])
}

/// Installs what composer.json lists, with the extensions of the very image that will run it.
fn vendor_stage(text: Text, repository: &Repository) -> Text {
    let files = if repository.has("composer.lock") { "composer.json composer.lock" } else { "composer.json" };
    let composer = "RUN --mount=type=cache,target=/root/.composer/cache COMPOSER_ALLOW_SUPERUSER=1 composer";
    text.stage("base", Some("vendor"))
        .debian_packages(&["git", "unzip"])
        .line("COPY --from=composer /usr/bin/composer /usr/bin/composer")
        .line("WORKDIR /app")
        .line(format!("COPY {files} ./"))
        .long(&[composer, "    install --no-dev --no-interaction --prefer-dist --no-scripts --no-autoloader"])
        .line("COPY . .")
        .long(&[composer, "    install --no-dev --no-interaction --prefer-dist --optimize-autoloader"])
}

/// The minor version of PHP 8 that composer.json asks for, else the usual one.
fn version(composer: Option<&Map<String, Value>>) -> u32 {
    let asked = composer.and_then(|composer| composer.get("require")?.get("php")?.as_str());
    // Composer also writes `|` between alternatives ("Version constraints").
    let range = asked.map(|range| range.replace("||", "|").replace('|', "||"));
    range.and_then(|range| choose(&range, Named::SecondAfter(8), &RELEASES, 0..=20)).unwrap_or(RELEASES[0])
}

/// Extensions to compile, and what Debian must bring for them.
fn extensions(composer: Option<&Map<String, Value>>) -> (Vec<&'static str>, Vec<&'static str>) {
    let required = composer.and_then(|composer| composer.get("require")?.as_object());
    let is_wanted = |name: &str| {
        ALWAYS.contains(&name) || required.is_some_and(|all| all.contains_key(&format!("ext-{name}")))
    };
    let wanted: Vec<_> = EXTENSIONS.iter().filter(|(name, _)| is_wanted(name)).collect();
    let mut packages: Vec<_> = wanted.iter().flat_map(|(_, packages)| packages.iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    (wanted.iter().map(|(name, _)| *name).collect(), packages)
}

fn composer(repository: &Repository) -> Result<Option<Map<String, Value>>, NotMade> {
    const FILE: &str = "composer.json";
    let Some(text) = repository.read(FILE)? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err(NotMade::file(FILE, "is no JSON object")),
        Err(error) => Err(NotMade::file(FILE, format!("is no valid JSON: {error}"))),
    }
}
