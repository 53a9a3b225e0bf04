//! One build, from files to an image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::image::{Digest, Reference};
use model::{Failure, FailureCode};
use tokio::time::{Instant, interval};

use super::base;
use super::caches::Caches;
use super::config::Config;
use super::disk;
use super::explain::{self, Cause, Limit};
use super::mask::Mask;
use super::output::Output;
use super::process::Room;
use super::result;
use super::source::Source;
use super::turns::Turn;
use super::volume::Volume;
use crate::builder::{Base, Built, News, Order, Origin, Surroundings};
use crate::dockerfile::{self, Plan, Values};
use crate::room::protocol::{Orders, Report, Trouble, Work};

/// How often the host's disk is looked at: a gigabyte is written in a second or two.
const LOOK: Duration = Duration::from_millis(500);
/// How often no process could be started before a build is ended: what goes on like that does not end by itself.
const MOST_CROWDED: u32 = 50;
/// Of a hundred parts of a volume, how many may be used when a build is over.
const MOST_USED: u64 = 80;

/// A build under way. Dropped, it takes everything with it but the volume.
pub(super) struct Session {
    config: Arc<Config>,
    caches: Arc<Caches>,
    order: Order,
    source: Source,
    /// What the Dockerfile is called in messages.
    name: String,
    plan: Plan,
    values: Values,
    mask: Mask,
    volume: Volume,
    folder: PathBuf,
    room: Option<Room>,
    turns: Option<(Turn, Turn)>,
    is_done: bool,
}

/// How a room's work ended.
enum Ending {
    Built { size: u64, used: u64 },
    Trouble(Trouble),
    Limit(Limit),
}

impl Session {
    /// Understands the Dockerfile and makes the build's folder.
    pub fn begin(
        config: Arc<Config>,
        caches: Arc<Caches>,
        order: &Order,
        source: Source,
        turns: (Turn, Turn),
    ) -> Result<Self, Failure> {
        let name = match &source.dockerfile.origin {
            Origin::Found(path) => path.clone(),
            Origin::Made(_) => "the Dockerfile that was made".to_owned(),
            Origin::Given => "the Dockerfile of the settings".to_owned(),
        };
        let pairs =
            order.variables.iter().map(|(name, value)| (name.clone(), value.expose().to_owned().into()));
        let (values, mask): (Values, Mask) = (pairs.collect(), Mask::of(&order.variables));
        let plan = dockerfile::plan(&source.dockerfile.text, &values)
            .map_err(|invalid| mask.cover(explain::invalid(&name, &invalid)))?;
        let (folder, volume) = (config.build(order.build), Volume::of(config.volume(order.app)));
        let order = order.clone();
        let session = Self {
            config,
            caches,
            order,
            source,
            name,
            plan,
            values,
            mask,
            volume,
            folder,
            room: None,
            turns: Some(turns),
            is_done: false,
        };
        session.make_folder().map_err(machine("make the folder of the build"))?;
        Ok(session)
    }

    /// Builds. What fails leaves nothing but the volume.
    pub async fn run(mut self, surroundings: &dyn Surroundings) -> Result<Built, Failure> {
        // Names of base images may have values in them.
        let outcome = self.make(surroundings).await.map_err(|failure| self.mask.cover(failure));
        let tidied = match &outcome {
            Ok(_) => self.clear_away(&["bases", "mountpoint"]).await,
            Err(_) => disk::remove(self.folder.clone()).await,
        };
        self.is_done = tidied.is_ok();
        outcome
    }

    async fn make(&mut self, surroundings: &dyn Surroundings) -> Result<Built, Failure> {
        let mut bases = Vec::new();
        for base in self.plan.bases() {
            let manifest = surroundings.resolve(&base).await?;
            bases.push((base, manifest));
        }
        if !self.order.settings.is_cached {
            self.volume.discard().map_err(machine("throw the cache away"))?;
        }
        // The volume holds nothing that cannot be made again, so one that is no good is replaced, once.
        let mut outcome = self.attempt(&bases, surroundings).await;
        if let Err(Stopped::ByVolume(why)) = &outcome {
            tracing::info!(app = %self.order.app, why, "the volume of builds is made anew");
            self.volume.discard().map_err(machine("throw the cache away"))?;
            outcome = self.attempt(&bases, surroundings).await;
        }
        outcome.map_err(|stopped| match stopped {
            Stopped::ByVolume(why) => explain::broken(format!("The build's volume cannot be used: {why}.")),
            Stopped::For(failure) => *failure,
        })?;
        let layout = self.folder.join("out");
        result::adopt(&layout, &self.mask).map_err(machine("take the image"))?;
        let bases = bases.into_iter().map(|(base, manifest)| (base.reference, manifest)).collect();
        Ok(Built { layout, bases })
    }

    async fn attempt(
        &mut self,
        bases: &[(Base, Digest)],
        surroundings: &dyn Surroundings,
    ) -> Result<(), Stopped> {
        // Without the reserve the build ends as soon as it is followed.
        self.caches.keep_reserve().await;
        self.volume
            .make(self.config.limits.disk, &self.config.programs.mkfs)
            .await
            .map_err(machine("make the build's volume"))?;
        let known = self.volume.bases();
        let mut layouts = Vec::new();
        for (image, manifest) in bases.iter().filter(|(_, manifest)| !known.contains(manifest.hex())) {
            let into = self.folder.join("bases").join(manifest.hex());
            if layouts.iter().any(|(known, _)| *known == manifest.hex()) {
                continue;
            }
            if !into.join("index.json").exists() {
                disk::remove_now(&into)
                    .and_then(|()| fs::create_dir_all(&into))
                    .map_err(machine("make a folder for a base image"))?;
                surroundings.fetch(image, manifest, &into).await?;
                base::make_fit(&into).map_err(machine("read a base image"))?;
            }
            layouts.push((manifest.hex().to_owned(), into));
        }
        let out = self.folder.join("out");
        self.empty_out(&out).map_err(machine("make a folder for the image"))?;

        let orders = self.orders(bases, layouts);
        let named = bases.iter().map(|(base, manifest)| (base.reference.clone(), manifest.clone()));
        let mut output = Output::new(
            self.plan.steps(),
            named.collect::<Vec<(Reference, Digest)>>(),
            self.mask.clone(),
            self.config.limits.log,
        );
        let room =
            Room::start(&self.config.role, &orders).await.map_err(machine("start the room of the build"))?;
        let mut awaited: BTreeSet<String> = orders.bases.iter().map(|(name, _)| name.clone()).collect();
        drop(orders);
        let room = self.room.insert(room);
        let places = Places { config: &self.config, caches: &self.caches, volume: &self.volume, out: &out };
        let ending = follow(room, places, &mut awaited, &mut output, surroundings).await;
        let said = match &mut self.room {
            Some(room) => room.end().await,
            None => String::new(),
        };
        if output.left_out > 0 {
            surroundings.told(News::LeftOut { lines: output.left_out });
        }
        let was_admitted = !matches!(ending, Err(Unfollowed { was_admitted: false, .. }));
        let out_of_memory = if was_admitted { surroundings.dismiss().await } else { false };
        self.room = None;
        let ending = match ending {
            Ok(ending) => ending,
            Err(Unfollowed { failure: Some(failure), .. }) => return Err(failure.into()),
            Err(Unfollowed { failure: None, .. }) if out_of_memory => Ending::Limit(Limit::Memory),
            Err(Unfollowed { failure: None, .. }) => {
                let message = format!("The room of the build ended without a word. {said}");
                return Err(explain::internal(message.trim_end().to_owned()).into());
            }
        };
        self.judge(ending, out_of_memory, &output)
    }

    /// What the ending means.
    fn judge(&self, ending: Ending, out_of_memory: bool, output: &Output) -> Result<(), Stopped> {
        let too_large = |limit| Err(explain::too_large(&self.name, limit, &self.config, Some(output)).into());
        match ending {
            Ending::Built { size, used } => {
                if !self.order.settings.is_cached || used.saturating_mul(100) > size.saturating_mul(MOST_USED)
                {
                    self.volume.discard().map_err(machine("throw the cache away"))?;
                }
                Ok(())
            }
            Ending::Limit(limit) => {
                if limit == Limit::HostDisk {
                    // It is not to keep the disk full, and cannot be tidied up by a build that ends at once.
                    self.volume.discard().map_err(machine("throw the cache away"))?;
                }
                too_large(limit)
            }
            Ending::Trouble(Trouble::Volume(why)) => Err(Stopped::ByVolume(why)),
            Ending::Trouble(Trouble::Machine(why)) => {
                Err(explain::broken(format!("This machine cannot build: {why}.")).into())
            }
            Ending::Trouble(Trouble::Program { code }) => self.blame(code, out_of_memory, output),
        }
    }

    /// What the builder's failure comes from.
    fn blame(&self, code: i32, out_of_memory: bool, output: &Output) -> Result<(), Stopped> {
        let too_large = |limit| Err(explain::too_large(&self.name, limit, &self.config, Some(output)).into());
        let cause = Cause::of(output.complaint.as_deref());
        if out_of_memory && cause.is_killed(code) {
            return too_large(Limit::Memory);
        }
        if output.signs.base_missing {
            return Err(Stopped::ByVolume("a base image is gone from it".to_owned()));
        }
        if output.signs.full || cause.is_full() {
            // Nothing is to be had from what filled it.
            self.volume.discard().map_err(machine("throw the cache away"))?;
            return too_large(Limit::Disk);
        }
        if output.signs.crowded > 0 {
            return too_large(Limit::Processes);
        }
        Err(explain::failed(&self.name, code, output, out_of_memory).into())
    }

    fn orders(&self, bases: &[(Base, Digest)], layouts: Vec<(String, PathBuf)>) -> Orders {
        let manifests: BTreeMap<String, Digest> =
            bases.iter().map(|(base, manifest)| (base.reference.to_string(), manifest.clone())).collect();
        let secrets = self.values.iter().filter(|(name, _)| is_plain(name));
        Orders {
            lock: self.volume.lock(),
            volume: self.volume.file(),
            mountpoint: self.folder.join("mountpoint"),
            context: self.source.context.clone(),
            bases: layouts,
            out: self.folder.join("out"),
            first_id: self.config.first_id,
            processes: self.config.limits.processes,
            largest_file: self.config.limits.disk,
            dockerfile: dockerfile::rewrite(&self.plan, &manifests, &self.values),
            ignore: self.source.ignore.clone(),
            secrets: secrets.map(|(name, value)| (name.clone(), value.to_string())).collect(),
            resolv_conf: (self.config.resolv_conf)(),
            programs: self.config.programs.clone(),
        }
    }

    fn make_folder(&self) -> io::Result<()> {
        disk::remove_now(&self.folder)?;
        disk::make_private(&self.folder)?;
        fs::create_dir(self.folder.join("mountpoint"))
    }

    /// An empty folder that the builder's user may write to.
    fn empty_out(&self, out: &PathBuf) -> io::Result<()> {
        disk::remove_now(out)?;
        disk::make_private(out)?;
        std::os::unix::fs::chown(out, Some(self.config.first_id), Some(self.config.first_id))
    }

    async fn clear_away(&self, names: &[&str]) -> io::Result<()> {
        for name in names {
            disk::remove(self.folder.join(name)).await?;
        }
        Ok(())
    }
}

/// Why an attempt ended without an image.
enum Stopped {
    /// Another volume may do.
    ByVolume(String),
    For(Box<Failure>),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::For(Box::new(failure))
    }
}

/// A room was not followed to its own end.
struct Unfollowed {
    was_admitted: bool,
    /// `None`: it ended without saying why.
    failure: Option<Failure>,
}

/// What a room that is followed writes to.
#[derive(Clone, Copy)]
struct Places<'a> {
    config: &'a Config,
    caches: &'a Caches,
    volume: &'a Volume,
    out: &'a Path,
}

impl Places<'_> {
    /// The limit that what is written has gone beyond.
    async fn exceeded(&self) -> Option<Limit> {
        let limits = &self.config.limits;
        if !self.caches.keep_reserve().await {
            return Some(Limit::HostDisk);
        }
        // The image is written to the host's disk, and may be larger than the volume that it was made in: a file with
        // nothing in it takes no room there.
        (disk::size_of_files(&self.out.join(result::WRITTEN)) > limits.disk).then_some(Limit::Disk)
    }
}

/// Listens to a room until it ends or has to. `awaited` are the base images that it was told to take.
async fn follow(
    room: &mut Room,
    places: Places<'_>,
    awaited: &mut BTreeSet<String>,
    output: &mut Output,
    surroundings: &dyn Surroundings,
) -> Result<Ending, Unfollowed> {
    let mut was_admitted = false;
    let deadline = Instant::now() + places.config.limits.time;
    let mut look = interval(LOOK);
    let mut work = Work::Taking;
    loop {
        let report = tokio::select! {
            report = room.report() => report,
            () = tokio::time::sleep_until(deadline) => return Ok(Ending::Limit(Limit::Time)),
            _ = look.tick() => match places.exceeded().await {
                Some(limit) => return Ok(Ending::Limit(limit)),
                None => continue,
            },
        };
        let fail = |was_admitted, failure| Err(Unfollowed { was_admitted, failure });
        match report {
            Ok(Some(Report::Ready { pid })) if !was_admitted => {
                // Even what is only partly admitted has to be dismissed.
                was_admitted = true;
                if let Err(failure) = surroundings.admit(pid).await {
                    return fail(was_admitted, Some(failure));
                }
                if let Err(error) = room.go().await {
                    return fail(
                        was_admitted,
                        Some(explain::internal(format!("The room of the build went away: {error}."))),
                    );
                }
            }
            Ok(Some(Report::Ready { .. })) => {}
            Ok(Some(Report::Doing(now))) => work = now,
            Ok(Some(Report::Line { text, is_error })) if work == Work::Building => {
                if let Some(news) = output.take(&text, is_error) {
                    surroundings.told(news);
                }
                if output.signs.crowded > MOST_CROWDED {
                    return Ok(Ending::Limit(Limit::Processes));
                }
            }
            // What the builder says about moving images is of no interest unless it fails.
            Ok(Some(Report::Line { text, is_error })) => drop(output.take(&text, is_error)),
            Ok(Some(Report::Full)) => output.volume_is_full(),
            // Nothing that a room says makes us write without end.
            Ok(Some(Report::Taken { base })) if awaited.remove(&base) => {
                if let Err(error) = places.volume.add(&base) {
                    tracing::warn!(%error, "a base image will be taken again");
                }
            }
            Ok(Some(Report::Taken { .. })) => {}
            Ok(Some(Report::Built { size, used })) => {
                return Ok(places.exceeded().await.map_or(Ending::Built { size, used }, Ending::Limit));
            }
            Ok(Some(Report::Failed(trouble))) => return Ok(Ending::Trouble(trouble)),
            Ok(None) => return fail(was_admitted, None),
            Err(error) => {
                return fail(
                    was_admitted,
                    Some(explain::internal(format!("The room of the build reported nonsense: {error}."))),
                );
            }
        }
    }
}

/// Names that the builder's own notation of secrets has room for.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn machine(doing: &str) -> impl Fn(io::Error) -> Failure {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let message = format!("There is no room on this machine's disk to {doing}.");
            let hint = "Free some space on this machine and deploy again.";
            Failure::new(model::Phase::Build, FailureCode::DiskFull, message, Some(hint))
        }
        _ => explain::broken(format!("This machine cannot {doing}: {error}.")),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (room, turns) = (self.room.take(), self.turns.take());
        let folder = (!self.is_done).then(|| std::mem::take(&mut self.folder));
        if room.is_none() && folder.is_none() {
            return;
        }
        // Turns are given back when nothing is left. Without a runtime the room ends all the same.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(mut room) = room {
                    room.end().await;
                }
                if let Some(folder) = folder {
                    let _ = disk::remove(folder).await;
                }
                drop(turns);
            });
        }
    }
}
