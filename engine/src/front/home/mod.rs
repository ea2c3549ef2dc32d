//! The home: the operator's files, and how they and the shipped ones become one set of sources.
//!
//! ```text
//! gateway.yaml       settings
//! customizations/    hooks and extensions of the shipped policies; upgrades never touch them
//! services/          services, fragments, assertions, tasks and commands of the operator's own
//! keys/              private keys, certificates, trusted certificates
//! data/              databases and what the running gateway tells of itself
//! ```
//!
//! Reading is defensive: whatever is in these folders, the result is a set of sources or a list of errors by file.

mod exposed;
mod passed_over;
mod read;
mod shipped;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_dsl::{Origin, Sources};

use crate::services::config::{self, Config, ConfigError, ConfigErrors};
use crate::services::private;

pub use read::{Unreadable, is_log};
pub use shipped::{Files, Shipped, ShippedFile};

/// Folder of hooks and extensions.
pub const CUSTOMIZATIONS: &str = "customizations";
/// Folder of the operator's own policies.
pub const SERVICES: &str = "services";
/// Folder of keys and certificates.
pub const KEYS: &str = "keys";
/// Folder of databases and state.
pub const DATA: &str = "data";

/// Shipped settings that the shipped policies rely on.
const DEFAULTS: &str = "policies/gateway.defaults.yaml";
/// The commented `gateway.yaml` that `init` writes.
const TEMPLATE: &str = "policies/gateway.template.yaml";

/// A home and the shipped files.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
    shipped: Shipped,
}

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// No home was named, and the current directory is not one.
    #[error("{0} is not a home (it has no gateway.yaml): name one with --home DIR, or create one with `portcullis init DIR`")]
    None(PathBuf),
    /// It cannot be used.
    #[error("home {path}: {error}")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Home {
    /// The named home, otherwise the current directory if it is a home.
    ///
    /// A checkout of the source tree is its own home. Its policies are read from disk rather than from the binary, so that an
    /// edit to a shipped policy takes effect like any other.
    pub fn find(named: Option<&Path>, shipped: Option<&Path>) -> Result<Home, HomeError> {
        let root = match named {
            Some(dir) => dir.to_owned(),
            None => {
                let here = std::env::current_dir().map_err(|error| HomeError::Unusable { path: ".".into(), error })?;
                if !here.join(config::FILE).exists() && !is_checkout(&here) {
                    return Err(HomeError::None(here));
                }
                here
            }
        };
        Ok(Home::at(root, shipped))
    }

    /// The home in this directory, which may not exist yet.
    pub fn at(root: impl Into<PathBuf>, shipped: Option<&Path>) -> Home {
        let root = root.into();
        let shipped = match shipped {
            Some(dir) => Shipped::Directory(dir.to_owned()),
            None if is_checkout(&root) => Shipped::Directory(root.clone()),
            None => Shipped::Embedded,
        };
        Home { root, shipped }
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path named by a setting; relative ones are relative to the home.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Whether it is a checkout of the source tree.
    pub fn is_checkout(&self) -> bool {
        is_checkout(&self.root)
    }

    /// Where shipped files come from.
    pub fn shipped(&self) -> &Shipped {
        &self.shipped
    }

    /// The folders that contain policies, and the settings file.
    pub fn watched(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.path(CUSTOMIZATIONS), self.path(SERVICES), self.path(config::FILE)];
        if let Shipped::Directory(dir) = &self.shipped {
            paths.extend(
                shipped::FOLDERS.iter().map(|folder| dir.join(folder)).filter(|path| !paths.contains(path)).collect::<Vec<_>>(),
            );
        }
        paths
    }

    /// Whether nothing has been created here yet.
    pub fn is_new(&self) -> bool {
        !self.path(config::FILE).exists() && !is_checkout(&self.root) && !self.path(DATA).exists()
    }

    /// Creates what a home needs, without overwriting anything: settings, folders, and a copy of every shipped customization; in
    /// a checkout only the folders for keys and data. Returns the created paths, relative to the home.
    pub fn init(&self) -> Result<Vec<String>, HomeError> {
        let unusable = |path: &Path, error| HomeError::Unusable { path: path.to_owned(), error };
        let mut made = Vec::new();
        fs::create_dir_all(&self.root).map_err(|error| unusable(&self.root, error))?;
        for folder in [KEYS, DATA] {
            let path = self.path(folder);
            if !path.is_dir() {
                private::make_folder(&path).map_err(|error| unusable(&path, error))?;
                made.push(format!("{folder}/"));
            }
        }
        if is_checkout(&self.root) {
            return Ok(made);
        }
        let Files { texts: files, pictures } =
            self.shipped.files().map_err(|problem| unusable(&problem.path, io::Error::other(problem.message.clone())))?;
        for folder in [CUSTOMIZATIONS, SERVICES] {
            let path = self.path(folder);
            if !path.is_dir() {
                fs::create_dir_all(&path).map_err(|error| unusable(&path, error))?;
                private::adopt(&path);
                made.push(format!("{folder}/"));
            }
        }
        let texts = files.iter().map(|file| (&*file.path, file.text.as_bytes()));
        let pictures = pictures.iter().filter_map(|(path, picture)| Some((path.as_str(), &**picture.as_ref().ok()?)));
        for (path, content) in texts.chain(pictures) {
            let (target, name) = if path == TEMPLATE {
                (self.path(config::FILE), config::FILE)
            } else if path.starts_with("customizations/") {
                (self.path(path), path)
            } else {
                continue;
            };
            if let Some(folder) = target.parent().filter(|folder| !folder.is_dir()) {
                fs::create_dir_all(folder).map_err(|error| unusable(folder, error))?;
                private::adopt(folder);
            }
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            // It may later contain passwords of databases.
            if name == config::FILE {
                private::only_owner(&mut options);
            }
            match options.open(&target) {
                Ok(mut open) => {
                    private::adopt(&target);
                    io::Write::write_all(&mut open, content).map_err(|error| unusable(&target, error))?;
                    made.push(name.to_owned());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unusable(&target, error)),
            }
        }
        Ok(made)
    }

    /// Creates a shipped customization in the home with its commented line `//set VARIABLE = "VALUE"` activated, before
    /// [`Home::init`] creates the rest. Returns its path. An error if no customization has such a line, or the home already has
    /// the file.
    pub fn init_setting(&self, variable: &str, value: &str) -> Result<String, HomeError> {
        let unusable = |path: &Path, error: io::Error| HomeError::Unusable { path: path.to_owned(), error };
        let files =
            self.shipped.files().map_err(|problem| unusable(&problem.path, io::Error::other(problem.message.clone())))?.texts;
        let (begins, wanted) = (format!("//set {variable} = "), format!("//set {variable} = \"{value}\""));
        let customizations = files.iter().filter(|file| file.path.starts_with("customizations/"));
        let known: Vec<(&ShippedFile, &str)> = customizations
            .flat_map(|file| {
                file.text.lines().filter(|line| line.trim_start().starts_with(&begins)).map(move |line| (file, line))
            })
            .collect();
        let Some((file, line)) = known.iter().find(|(_, line)| line.trim() == wanted) else {
            let values: Vec<&str> = known.iter().filter_map(|(_, line)| line.trim().strip_prefix(&begins)).collect();
            let message = format!("`{variable}` cannot be \"{value}\": it can be {}", values.join(", "));
            return Err(unusable(&self.root, io::Error::new(io::ErrorKind::InvalidInput, message)));
        };
        let target = self.path(&*file.path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|error| unusable(folder, error))?;
        }
        let text = file.text.replacen(line, &line.replacen("//", "", 1), 1);
        let mut open =
            fs::OpenOptions::new().write(true).create_new(true).open(&target).map_err(|error| unusable(&target, error))?;
        io::Write::write_all(&mut open, text.as_bytes()).map_err(|error| unusable(&target, error))?;
        Ok(file.path.to_string())
    }

    /// What other users of this machine can reach although they must not, each as a sentence that says what to do.
    pub fn open_to_others(&self, config: &Config) -> Vec<String> {
        exposed::open_to_others(self, config)
    }

    /// Files that look like policies or settings and count for nothing, each as a sentence that says what to do.
    pub fn passed_over(&self) -> Vec<String> {
        passed_over::all(self)
    }

    /// The settings: shipped defaults with the operator's file on top.
    pub fn config(&self) -> Result<Config, ConfigErrors> {
        self.config_with(None)
    }

    /// The settings with a further text on top of the operator's file.
    pub fn config_with(&self, overlay: Option<&str>) -> Result<Config, ConfigErrors> {
        let shipped = self
            .shipped
            .file(DEFAULTS)
            .map_err(|problem| ConfigError::new(&problem.path.display().to_string(), problem.message))?;
        let own = match read::text(&self.path(config::FILE)) {
            Ok(text) => text,
            Err(error) => return Err(ConfigError::new(config::FILE, error.to_string()).into()),
        };
        let layers = [
            shipped.as_ref().map(|file| (DEFAULTS, &*file.text)),
            own.as_deref().map(|text| (config::FILE, text)),
            overlay.map(|text| ("overlay", text)),
        ];
        let mut config = Config::read_in(&self.root, layers.into_iter().flatten())?;
        if self.wants_samples(&config) {
            let services = config.samples.services.clone();
            config.enable.extend(services);
        }
        Ok(config)
    }

    /// Whether sample data are put into embedded databases and among the gateway's own users.
    pub fn wants_samples(&self, config: &Config) -> bool {
        config.sample_data.unwrap_or_else(|| self.is_checkout())
    }

    /// All policies and data files, shipped and the operator's. An operator's customization replaces the shipped one of the same
    /// path, and also one whose targets it declares in another file.
    pub fn sources(&self) -> Result<Sources, Vec<Unreadable>> {
        let mut problems = Vec::new();
        let shipped = self.shipped.files().map_err(|problem| vec![problem])?;
        let mut own = Files::default();
        for folder in [CUSTOMIZATIONS, SERVICES] {
            read::folder(&self.path(folder), folder, &mut own, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut sources = Sources::default();
        let declared: Vec<&str> = own
            .texts
            .iter()
            .filter(|file| file.path.starts_with("customizations/"))
            .flat_map(|file| targets(&file.text))
            .collect();
        for file in &shipped.texts {
            let customization = file.path.starts_with("customizations/");
            if customization && (own.texts.iter().any(|own| own.path == file.path) || replaced(&file.text, &declared)) {
                continue;
            }
            add(&mut sources, file, if customization { Origin::Customization } else { Origin::Shipped });
        }
        for file in &own.texts {
            let origin = if file.path.starts_with("customizations/") { Origin::Customization } else { Origin::Operator };
            add(&mut sources, file, origin);
        }
        sources.pictures = shipped.pictures;
        sources.pictures.extend(own.pictures);
        Ok(sources)
    }
}

fn add(sources: &mut Sources, file: &ShippedFile, origin: Origin) {
    if file.path.ends_with(".policy") {
        sources.add(&*file.path, file.text.clone(), origin);
    } else if file.path != DEFAULTS && file.path != TEMPLATE {
        sources.data.insert(file.path.to_string(), file.text.clone());
    }
}

/// Names that a customization file declares. Looking at the starts of lines is enough: the result only decides whether a shipped
/// file is replaced, and a missed declaration is reported as declared twice.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let rest = line.strip_prefix("customize").or_else(|| line.strip_prefix("extension"))?;
        rest.trim_start().strip_prefix('"')?.split('"').next()
    })
}

fn replaced(shipped: &str, declared: &[&str]) -> bool {
    let mut own = targets(shipped).peekable();
    own.peek().is_some() && own.all(|target| declared.contains(&target))
}

fn is_checkout(dir: &Path) -> bool {
    dir.join("Cargo.toml").is_file()
        && shipped::FOLDERS.iter().all(|folder| dir.join(folder).is_dir())
        && dir.join("engine").is_dir()
}

#[cfg(test)]
mod tests;
