//! The account of a command. The gateway has its own account, which owns its data; an administrator is root. Files created by
//! root's commands (databases and their logs, users, keys, locks, sockets) would lock the gateway out, so such a command
//! continues as the account that owns the home.

use std::path::{Path, PathBuf};

use super::Failure;

/// Continues as the owner of this folder, or of its nearest existing parent, if this process runs as root and the folder does not
/// belong to root.
#[cfg(unix)]
pub(super) fn become_owner_of(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;

    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Some(owner) = folder.ancestors().find_map(|folder| std::fs::metadata(folder).ok()).filter(|owner| owner.uid() != 0)
    else {
        return Ok(());
    };
    // Without /proc, as in a bare chroot, the name by which it was called has to be enough.
    let program = std::env::current_exe().or_else(|error| std::env::args_os().next().map(PathBuf::from).ok_or(error))?;
    // The same process with the same files, as another account without root's supplementary groups.
    let error = std::process::Command::new(&program).args(std::env::args_os().skip(1)).gid(owner.gid()).uid(owner.uid()).exec();
    Err(Failure {
        message: format!(
            "{} belongs to the account {}, and this command cannot run as it: {}: {error}",
            folder.display(),
            owner.uid(),
            program.display()
        ),
        code: 1,
    })
}

/// Elsewhere accounts are not numbers.
#[cfg(not(unix))]
pub(super) fn become_owner_of(_: &Path) -> Result<(), Failure> {
    Ok(())
}
