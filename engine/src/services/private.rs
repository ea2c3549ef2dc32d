//! Making files and folders that nobody but the gateway's own account may read: so from the start, never opened wide first and closed
//! later.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// A file that these options make is for its owner only.
pub fn only_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes a file that is not there yet, empty. One that is there keeps its contents and its rights.
pub fn make_file(path: &Path) -> io::Result<File> {
    only_owner(OpenOptions::new().create(true).truncate(false).write(true)).open(path)
}

/// Makes a folder, and those above it, that are not there yet.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
