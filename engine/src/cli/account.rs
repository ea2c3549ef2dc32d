//! Under which account a command runs. The gateway has an account of its own, to which its data belong; an administrator is root. What
//! root's commands made there would lock the gateway out (databases and their logs, users, keys, locks, sockets), so such a command goes
//! on under the account that the home belongs to.

use std::path::{Path, PathBuf};

use super::Failure;

/// Goes on as the owner of this folder, or of the nearest one above it that exists, if this process is root's and the folder is not.
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
    // Without /proc, as in a bare chroot, the name by which it was called must do.
    let program = std::env::current_exe().or_else(|error| std::env::args_os().next().map(PathBuf::from).ok_or(error))?;
    // The same process with the same files, as another account; supplementary groups end with root's.
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
