//! `portcullis import`: exports of the gateway whose policies are trees.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use portcullis_dsl::{Origin, Severity, Sources};
use portcullis_import::report::Topic;
use portcullis_import::{Imported, Input, Options, Otk, OutFile, Problem, Releases, Shipped, report};

use super::{Done, Failure, NO, Place, say};
use crate::data::time::Zone;
use crate::front::home::Home;
use crate::policy::site::{Compiled, catalogue};

/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 32;
/// Most files that are read.
const MAX_FILES: usize = 100_000;

/// Ends of the names of files that are read in folders.
const WANTED: [&str; 7] = ["xml", "bundle", "json", "yaml", "yml", "properties", "code"];

/// Options of `import`.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 imported, 1 the result does not load, a file is in the way, or the home lacks settings that it needs, 2 the command line is not understood."
)]
pub struct ImportArgs {
    /// Exports: bundles (XML), GraphQL bundles (JSON), folders of either, projects of the developer's plug-in.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to write. Default: a folder below `import/` in the home, named after what is imported.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Where calls of the toolkit's assertions go: to those that this gateway ships, where the inputs fit, or to imported ones.
    #[arg(long, value_enum, default_value = "shipped")]
    otk: Toolkit,
    /// Print digests of the policies in FILE, and import nothing: a table of what a release of the toolkit ships, as `--releases` takes it.
    /// FILE should be an export from before anybody changed something.
    #[arg(long, value_name = "RELEASE", conflicts_with_all = ["into", "apply", "json"])]
    fingerprint: Option<String>,
    /// Such a table, besides the one that comes with the program: policies that are as their release ships them are not imported. May be
    /// given several times.
    #[arg(long, value_name = "FILE")]
    releases: Vec<PathBuf>,
    /// The time zone of the gateway that is left, such as `Europe/Berlin`: that of its scheduled tasks. Default: UTC, and the report says so.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<Zone>,
    /// Also put the policies into the home, if they load. No file that somebody changed is overwritten.
    #[arg(long)]
    apply: bool,
    /// The report as JSON, to standard output.
    #[arg(long)]
    json: bool,
}

fn zone(name: &str) -> Result<Zone, String> {
    Zone::named(name).ok_or_else(|| "this is no time zone, such as `Europe/Berlin` or `+02:00`".to_owned())
}

#[derive(Clone, Copy, ValueEnum)]
enum Toolkit {
    /// What this gateway ships.
    Shipped,
    /// What the export has.
    Imported,
}

pub fn run(place: &Place, args: &ImportArgs) -> Done {
    let mut inputs = Vec::new();
    for file in &args.files {
        let root = if file.is_dir() { file.as_path() } else { file.parent().unwrap_or(Path::new("")) };
        collect(file, root, 0, &mut inputs)?;
    }
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    if inputs.is_empty() {
        let named: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
        let message = format!(
            "there is nothing to import in {}: no file that ends in {}",
            named.join(", "),
            WANTED.map(|end| format!(".{end}")).join(", ")
        );
        return Err(Failure { message, code: 1 });
    }
    if let Some(release) = &args.fingerprint {
        let export = portcullis_import::read::read(&inputs);
        let table = portcullis_import::releases::table(&export, release).map_err(|message| Failure { message, code: 1 })?;
        say(table.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let home = place.any_home()?;
    let options = Options {
        releases: releases(&args.releases)?,
        zone: args.zone.as_ref().map(|zone| zone.name().to_owned()),
        otk: match args.otk {
            Toolkit::Shipped => Otk::Shipped,
            Toolkit::Imported => Otk::Imported,
        },
    };
    let base = home.sources().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure { message: lines.join("\n"), code: 1 }
    })?;
    let mut shipped = base.clone();
    // Customizations say which file fills which place.
    shipped.files.retain(|file| file.origin != Origin::Operator);
    let (library, _) = portcullis_dsl::load(shipped, &catalogue());
    let made = portcullis_import::import(&inputs, &Shipped::of(&library), &options, &mut |files| check(&base, files));
    let folder = args.into.clone().unwrap_or_else(|| home.path("import").join(name_of(&inputs, args.otk, args.zone.as_ref())));
    let mut files = made.files.clone();
    files.extend(reports(&made)?);
    let mut written = write(&folder, &files, &|_, _| false)?;
    let applied = if args.apply { Some(apply(&home, &made)?) } else { None };
    if args.json {
        say(serde_json::to_string_pretty(&made.report)?);
    } else {
        tell(&made, &folder, &written, applied.as_ref());
    }
    if let Some(applied) = applied {
        written.kept.extend(applied.kept);
    }
    // Whether there are the connections that policies name, only the settings say.
    let lacks = if args.apply { lacking(&home, &made) } else { Vec::new() };
    if !lacks.is_empty() {
        let _ = writeln!(io::stderr(), "the home does not load yet, and a gateway that serves goes on with what it had:");
        lacks.iter().for_each(|why| drop(writeln!(io::stderr(), "  {why}")));
        let _ = writeln!(io::stderr(), "add them to gateway.yaml; `portcullis check` says where each is named");
    }
    Ok(if made.errors.is_empty() && written.kept.is_empty() && lacks.is_empty() { ExitCode::SUCCESS } else { NO })
}

/// Connections that the policies name and the settings of the home lack. No database is opened for that.
fn lacking(home: &Home, made: &Imported) -> Vec<String> {
    // Settings that cannot be read are said by every other command.
    let Ok(config) = home.config() else { return Vec::new() };
    let databases = made.report.entities.iter().filter(|entity| entity.kind == "database");
    let missing = databases.filter(|entity| !config.connections.contains_key(&entity.name));
    let used = missing.filter(|entity| {
        let named = format!("connection: {:?}", entity.name);
        made.files.iter().any(|file| file.text.contains(&named))
    });
    used.map(|entity| format!("there is no connection `{}`", entity.name)).collect()
}

/// What is known of the toolkit's releases.
fn releases(files: &[PathBuf]) -> Result<Releases, Failure> {
    let mut releases = Releases::default();
    for file in files {
        let named = |why: String| Failure { message: format!("{}: {why}", file.display()), code: 1 };
        let text = fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
        releases.add(&text).map_err(named)?;
    }
    Ok(releases)
}

/// Reads a file, or the files of a folder, under paths relative to `root`.
fn collect(path: &Path, root: &Path, depth: usize, inputs: &mut Vec<Input>) -> Result<(), Failure> {
    let named = |error: &dyn std::fmt::Display| Failure { message: format!("{}: {error}", path.display()), code: 1 };
    if path.is_dir() {
        if depth > MAX_DEPTH {
            return Err(named(&format!("folders are nested more than {MAX_DEPTH} deep")));
        }
        let mut entries: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| named(&error))? {
            entries.push(entry.map_err(|error| named(&error))?.path());
        }
        entries.sort();
        let hidden = |path: &Path| path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        return entries.iter().filter(|path| !hidden(path)).try_for_each(|path| collect(path, root, depth + 1, inputs));
    }
    if inputs.len() >= MAX_FILES {
        return Err(named(&format!("more than {MAX_FILES} files")));
    }
    let relative = path.strip_prefix(root).unwrap_or(path);
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if depth > 0 && !WANTED.contains(&end.as_str()) {
        return Ok(());
    }
    let size = fs::metadata(path).map_err(|error| named(&error))?.len();
    // The reader reports a file that is too large; there is no need to have all of it.
    let limit = portcullis_import::read::MAX_BYTES as u64 + 1;
    let bytes = match size > limit {
        true => vec![b' '; portcullis_import::read::MAX_BYTES + 1],
        false => fs::read(path).map_err(|error| named(&error))?,
    };
    inputs.push(Input { path: relative.to_string_lossy().replace('\\', "/"), bytes });
    Ok(())
}

/// What the gateway finds wrong with files, beside those of the home; and what customizations set in vain.
fn check(base: &Sources, files: &[OutFile]) -> Vec<Problem> {
    let mut sources = base.clone();
    sources.files.retain(|source| !files.iter().any(|file| file.path == source.path));
    for file in files {
        let origin = if file.path.starts_with("customizations/") { Origin::Customization } else { Origin::Operator };
        sources.add(file.path.clone(), file.text.clone(), origin);
    }
    let compiled = Compiled::new(sources);
    let sources = compiled.library.sources();
    let told = |found: &&portcullis_dsl::Diagnostic| found.severity == Severity::Error || found.code == "P0321";
    let problem = |found: &portcullis_dsl::Diagnostic| {
        let source = sources.get(found.span.file);
        let (start, end) = (found.span.start as usize, found.span.end as usize);
        Problem {
            path: source.path.clone(),
            offset: start,
            text: source.text.get(start..end).unwrap_or("").to_owned(),
            code: found.code.to_owned(),
            message: match (&found.help, found.code) {
                // What a property refuses, only the help says.
                (Some(help), crate::policy::codes::BAD_PROPERTY) => format!("{}: {help}", found.message),
                _ => found.message.clone(),
            },
            warning: found.severity != Severity::Error,
        }
    };
    let own = |problem: &Problem| files.iter().any(|file| file.path == problem.path);
    compiled.diagnostics.iter().filter(told).map(problem).filter(own).collect()
}

/// A name for what is imported: the same for the same files.
fn name_of(inputs: &[Input], otk: Toolkit, zone: Option<&Zone>) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    add(&[otk as u8]);
    if let Some(zone) = zone {
        add(zone.name().as_bytes());
    }
    for input in inputs {
        add(input.path.as_bytes());
        add(&input.bytes);
    }
    format!("{hash:016x}")
}

fn reports(made: &Imported) -> Result<[OutFile; 3], Failure> {
    let file = |path: &str, text| OutFile { path: path.to_owned(), text };
    Ok([
        file("report.html", report::html(&made.report)),
        file("report.md", report::markdown(&made.report)),
        file("report.json", serde_json::to_string_pretty(&made.report)? + "\n"),
    ])
}

/// What became of files.
#[derive(Default)]
struct Written {
    made: usize,
    same: usize,
    /// Those that are there with another content.
    kept: Vec<PathBuf>,
}

/// Writes files that are not there, or that may be replaced: by path and content.
fn write(folder: &Path, files: &[OutFile], may_replace: &dyn Fn(&str, &[u8]) -> bool) -> Result<Written, Failure> {
    let mut written = Written::default();
    for file in files {
        let path = folder.join(&file.path);
        let named = |error: std::io::Error| Failure { message: format!("{}: {error}", path.display()), code: 1 };
        match fs::read(&path) {
            Ok(there) if there == file.text.as_bytes() => written.same += 1,
            Ok(there) if !may_replace(&file.path, &there) => written.kept.push(path),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(named(error)),
            Ok(_) | Err(_) => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).map_err(named)?;
                }
                fs::write(&path, &file.text).map_err(named)?;
                written.made += 1;
            }
        }
    }
    Ok(written)
}

/// Puts what loads into the home. Settings are merged by hand.
fn apply(home: &Home, made: &Imported) -> Result<Written, Failure> {
    if !made.errors.is_empty() {
        let message = format!("nothing was put into the home: {} errors are left, see the report", made.errors.len());
        return Err(Failure { message, code: 1 });
    }
    let taken =
        |file: &&OutFile| ["services/", "customizations/", "keys/trusted/"].iter().any(|start| file.path.starts_with(start));
    let files: Vec<OutFile> = made.files.iter().filter(taken).cloned().collect();
    // A new home has every customization as it ships, all of it comments: nobody's work is lost.
    let ships = |path: &str, there: &[u8]| {
        let file = home.shipped().file(path).ok().flatten();
        file.is_some_and(|file| file.text.as_bytes() == there)
    };
    write(home.root(), &files, &ships)
}

fn tell(made: &Imported, folder: &Path, written: &Written, applied: Option<&Written>) {
    let steps = &made.report.steps;
    let [green, yellow, red] = made.report.lights;
    say(format!("{} policies: {green} green, {yellow} yellow, {red} red", made.report.policies.len()));
    say(format!(
        "{} steps: {} one to one, {} by rewriting, {} without translation; {} comments, {} switched off, {} in shipped policies",
        steps.read, steps.exact, steps.rewritten, steps.missing, steps.comments, steps.disabled, steps.shipped
    ));
    for told in made.report.findings.iter().filter(|told| told.topic == Topic::Release) {
        say(&told.message);
    }
    for error in &made.errors {
        say(format!("error: {}: {} ({})", error.path, error.message, error.code));
    }
    files(&format!("in {}", folder.display()), written);
    match applied {
        Some(applied) => files("put into the home", applied),
        None => say(format!("nothing was changed in the home; read {}", folder.join("report.md").display())),
    }
}

fn files(what: &str, written: &Written) {
    let there = if written.same > 0 { format!(", {} were there already", written.same) } else { String::new() };
    say(format!("{what}: {} files{there}", written.made));
    for path in &written.kept {
        say(format!("left as it is, because its content differs: {}", path.display()));
    }
}
