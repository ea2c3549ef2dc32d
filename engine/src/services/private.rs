//! Creates files and folders that only the gateway's own account may read, from the start and never with wider rights before. And
//! replacing files so that nobody loses access to them: not by a link that is cut, nor by an owner who changes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Files created with these options are only for their owner.
pub fn only_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Creates an empty file if it is missing. An existing one keeps its contents and rights.
pub fn make_file(path: &Path) -> io::Result<File> {
    let new = !path.exists();
    let file = only_owner(OpenOptions::new().create(true).truncate(false).write(true)).open(path)?;
    if new {
        adopt(path);
    }
    Ok(file)
}

/// Creates a folder and its parents if they are missing.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    // The outermost first: each takes the owner of the one above.
    missing.iter().rev().for_each(|folder| adopt(folder));
    Ok(())
}

/// Gives what root has just created to the owner of the surrounding folder, so that an administrator's command never locks out
/// the gateway, which runs under its own account. Does nothing for other accounts.
#[cfg(unix)]
pub fn adopt(path: &Path) {
    use std::os::unix::fs::{MetadataExt, lchown};
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(owner) = fs::metadata(folder)
        && owner.uid() != 0
    {
        // Where owners cannot be changed (some network file systems) the file stays root's, as it would without this.
        let _ = lchown(path, Some(owner.uid()), Some(owner.gid()));
    }
}

/// Elsewhere files belong to whom their folder's rights say.
#[cfg(not(unix))]
pub fn adopt(_: &Path) {}

/// Writes a whole file. A missing one is created, for its owner only if `secret`. An existing one keeps owner and rights,
/// symbolic links still lead to it, and concurrent readers see either the old or the new text. If that is impossible (it has
/// several names, is a mount, is in a read-only folder, or its owner cannot be kept), it is overwritten in place.
pub fn replace(path: &Path, contents: &[u8], secret: bool) -> io::Result<()> {
    let path = &followed(path);
    let Ok(old) = fs::metadata(path) else { return fresh(path, contents, secret, None).map_err(|(error, _)| error) };
    if names(&old) > 1 {
        return in_place(path, contents);
    }
    match fresh(path, contents, secret, Some(&old)) {
        Ok(()) => Ok(()),
        // A full disk must not truncate the existing file.
        Err((error, draft)) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            let _ = fs::remove_file(draft);
            Err(error)
        }
        Err((_, draft)) => {
            let _ = fs::remove_file(draft);
            in_place(path, contents)
        }
    }
}

/// The target of symbolic links, which may be missing.
fn followed(path: &Path) -> PathBuf {
    const LINKS: usize = 16;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// Writes beside and renames. On an error: what failed, and the draft that may be left.
fn fresh(path: &Path, contents: &[u8], secret: bool, old: Option<&fs::Metadata>) -> Result<(), (io::Error, PathBuf)> {
    // Nobody mistakes a draft for a policy, a key or a secret, because hidden files are ignored.
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".draft{}~", std::process::id()));
    let draft = path.with_file_name(name);
    let _ = fs::remove_file(&draft);
    let write = || {
        let mut options = OpenOptions::new();
        options.create_new(true).write(true);
        if secret || old.is_some() {
            only_owner(&mut options);
        }
        let mut file = options.open(&draft)?;
        match old {
            Some(old) => keep(&file, old)?,
            None => adopt(&draft),
        }
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(|error| (error, draft.clone()))
}

fn in_place(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Owner, group and rights of the file that was there.
#[cfg(unix)]
fn keep(file: &File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())
}

#[cfg(not(unix))]
fn keep(file: &File, old: &fs::Metadata) -> io::Result<()> {
    file.set_permissions(old.permissions())
}

#[cfg(unix)]
fn names(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(file)
}

#[cfg(not(unix))]
fn names(_: &fs::Metadata) -> u64 {
    1
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_that_is_replaced_keeps_rights_links_and_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        replace(&at("new"), b"1", true).unwrap();
        assert_eq!(fs::metadata(at("new")).unwrap().mode() & 0o777, 0o600);
        fs::write(at("real"), "old").unwrap();
        fs::set_permissions(at("real"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real", at("link")).unwrap();
        symlink("link", at("link to link")).unwrap();
        replace(&at("link to link"), b"new", true).unwrap();
        assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("real"));
        assert_eq!(fs::read(at("real")).unwrap(), b"new");
        assert_eq!(fs::metadata(at("real")).unwrap().mode() & 0o777, 0o640);
        fs::hard_link(at("real"), at("other name")).unwrap();
        replace(&at("real"), b"newer", false).unwrap();
        assert_eq!(fs::read(at("other name")).unwrap(), b"newer");
        symlink("made", at("to nothing")).unwrap();
        replace(&at("to nothing"), b"x", false).unwrap();
        assert!(at("made").is_file() && at("to nothing").is_symlink());
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().contains("draft")).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// What root may do only: run where tests run as root.
    #[test]
    fn what_root_makes_belongs_to_the_folder_s_owner() {
        use std::os::unix::fs::chown;
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        chown(dir.path(), Some(4321), Some(4322)).unwrap();
        let owner = |name: &str| fs::metadata(dir.path().join(name)).map(|file| (file.uid(), file.gid())).unwrap();
        replace(&dir.path().join("users.json"), b"[]", true).unwrap();
        make_file(&dir.path().join("keys.lock")).unwrap();
        make_folder(&dir.path().join("a/b")).unwrap();
        for name in ["users.json", "keys.lock", "a", "a/b"] {
            assert_eq!(owner(name), (4321, 4322), "{name}");
        }
        let file = dir.path().join("x.policy");
        fs::write(&file, "old").unwrap();
        chown(&file, Some(99), Some(98)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        replace(&file, b"new", false).unwrap();
        assert_eq!((owner("x.policy"), fs::metadata(&file).unwrap().mode() & 0o777), ((99, 98), 0o664));
    }

    /// A file that a container mounts by itself cannot be renamed over. Runs where tests may mount.
    #[test]
    fn a_file_that_is_a_mount_is_written_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (mounted, place) = (dir.path().join("mounted"), dir.path().join("place"));
        fs::write(&mounted, "old").unwrap();
        fs::write(&place, "").unwrap();
        let mount = |program: &str, arguments: &[&std::ffi::OsStr]| {
            std::process::Command::new(program)
                .args(arguments)
                .stderr(std::process::Stdio::null())
                .status()
                .is_ok_and(|done| done.success())
        };
        if !mount("mount", &["--bind".as_ref(), mounted.as_os_str(), place.as_os_str()]) {
            return;
        }
        let replaced = replace(&place, b"new", true);
        let ended = mount("umount", &[place.as_os_str()]);
        replaced.unwrap();
        assert!(ended);
        assert_eq!(fs::read(&mounted).unwrap(), b"new");
        assert_eq!(fs::read(&place).unwrap(), b"", "what it was mounted on stays");
    }
}
