//! `portcullis completions` and `portcullis manual`: generated from the definition of the command line.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use super::{Done, Failure, say};

/// Prints the completions for a shell.
pub fn completions(mut cli: Command, shell: Shell) -> Done {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli, "portcullis", &mut text);
    // A reader that has gone away is not an error.
    let _ = io::Write::write_all(&mut io::stdout(), &text);
    Ok(ExitCode::SUCCESS)
}

/// Writes a manual page for the program and each of its commands.
pub fn manual(cli: Command, folder: &Path) -> Done {
    if !folder.is_dir() {
        return Err(Failure { message: format!("there is no folder {}", folder.display()), code: 2 });
    }
    let mut made = Vec::new();
    page(cli.disable_help_subcommand(true), "portcullis", folder, &mut made)?;
    made.iter().for_each(|path| say(path.display()));
    Ok(ExitCode::SUCCESS)
}

fn page(command: Command, name: &str, folder: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        page(inner.clone(), &format!("{name}-{}", inner.get_name()), folder, made)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let path = folder.join(format!("{name}.1"));
    let command = command.name(name.to_owned()).version(version).bin_name(name.replace('-', " "));
    // Without a date, because a build date would make two builds of one source differ.
    let page =
        clap_mangen::Man::new(command).title(name.to_uppercase()).section("1").date("").source(format!("Portcullis {version}"));
    let mut text = Vec::new();
    page.render(&mut text)?;
    std::fs::write(&path, text)?;
    made.push(path);
    Ok(())
}
