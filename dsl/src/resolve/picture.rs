//! Pictures that pages contain: `data_uri file "logo.png"`.

use crate::codes;
use crate::diagnostic::{Diagnostic, nearest};
use crate::span::{FileId, Sources, Spanned};

/// Largest picture: each page contains it whole.
pub const MAX_PICTURE_BYTES: usize = 256 << 10;

/// A kind of picture.
struct Kind {
    /// How names of its files end.
    ends: &'static [&'static str],
    media_type: &'static str,
    /// What its files begin with, and where.
    mark: (usize, &'static [u8]),
}

/// What browsers show.
const KINDS: &[Kind] = &[
    Kind { ends: &["png"], media_type: "image/png", mark: (0, b"\x89PNG\r\n\x1a\n") },
    Kind { ends: &["jpg", "jpeg"], media_type: "image/jpeg", mark: (0, b"\xff\xd8\xff") },
    Kind { ends: &["gif"], media_type: "image/gif", mark: (0, b"GIF8") },
    Kind { ends: &["webp"], media_type: "image/webp", mark: (8, b"WEBP") },
    Kind { ends: &["avif"], media_type: "image/avif", mark: (4, b"ftypavif") },
    Kind { ends: &["ico"], media_type: "image/x-icon", mark: (0, b"\0\0\x01\0") },
    // Text, which may begin with a declaration or comments.
    Kind { ends: &["svg"], media_type: "image/svg+xml", mark: (0, b"") },
];

fn kind(path: &str) -> Option<&'static Kind> {
    let (_, end) = path.rsplit_once('.')?;
    KINDS.iter().find(|kind| kind.ends.iter().any(|own| own.eq_ignore_ascii_case(end)))
}

/// Whether a file of this name is kept as bytes. (SVG is text like any other file.)
pub fn is_picture(path: &str) -> bool {
    kind(path).is_some_and(|kind| !kind.mark.1.is_empty())
}

/// Media type and bytes of the picture that `data_uri file "path"` means, or what is wrong with it.
pub(crate) fn find<'s>(
    sources: &'s Sources,
    from: FileId,
    path: &Spanned<String>,
) -> Result<(&'static str, &'s [u8]), Diagnostic> {
    let wrong = |message: String| Diagnostic::error(codes::BAD_PICTURE, message, path.span);
    let Some(kind) = kind(path) else {
        let ends: Vec<_> = KINDS.iter().flat_map(|kind| kind.ends).map(|end| format!("`.{end}`")).collect();
        let wrong = wrong(format!("`{}` is no kind of picture that pages show", **path));
        return Err(wrong.help(format!("names of pictures end in {}", ends.join(", "))));
    };
    let bytes = match sources.picture(from, path) {
        Some(Ok(bytes)) => bytes,
        Some(Err(why)) => return Err(wrong(format!("the picture `{}` cannot be used: {why}", **path))),
        None => {
            let folder = sources.get(from).path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let beside = sources.pictures.keys().filter_map(|full| full.strip_prefix(folder)?.strip_prefix('/'));
            let missing = Diagnostic::error(codes::UNKNOWN_FILE, format!("there is no file `{}`", **path), path.span);
            return Err(match nearest(path, beside) {
                Some(near) => missing.help(format!("did you mean `{near}`?")),
                None => missing.help("paths are relative to the folder of the policy"),
            });
        }
    };
    if bytes.len() > MAX_PICTURE_BYTES {
        return Err(wrong(format!("the picture `{}` is too large ({} KiB)", **path, bytes.len().div_ceil(1 << 10))).help(
            format!(
                "each page contains it: make it smaller than {} KiB, or name its address on a web server",
                MAX_PICTURE_BYTES >> 10
            ),
        ));
    }
    let (at, mark) = kind.mark;
    if !bytes.get(at..).is_some_and(|rest| rest.starts_with(mark)) || bytes.is_empty() {
        return Err(wrong(format!("`{}` does not hold what its name says: {}", **path, kind.media_type))
            .help("name the file by the kind of picture that it holds"));
    }
    Ok((kind.media_type, bytes))
}
