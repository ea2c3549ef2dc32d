//! Bodies of fuzz targets: for every parser of a stranger's input, a function that takes any bytes and asserts what must be true
//! for all of them. `cargo fuzz` runs them (`engine/fuzz`), and so does `cargo test`, over the stored corpus and mutations of it.

mod documents;
mod requests;
mod tokens;

/// A body and its name, which is also the name of its target and of its corpus folder.
pub type Body = (&'static str, fn(&[u8]));

/// All of them.
pub const BODIES: &[Body] = &[
    ("path", requests::path),
    ("parameters", requests::parameters),
    ("cookies", requests::cookies),
    ("fields", requests::fields),
    ("basic", requests::basic),
    ("forwarded", requests::forwarded),
    ("origin", requests::origin),
    ("encodings", requests::encodings),
    ("uri", requests::uri),
    ("target", requests::target),
    ("control", requests::control),
    ("json", documents::json),
    ("json_path", documents::json_path),
    ("xml", documents::xml),
    ("xpath", documents::xpath),
    ("page", documents::page),
    ("log", documents::log),
    ("sql", documents::sql),
    ("directory", documents::directory),
    ("jws", tokens::jws),
    ("jwe", tokens::jwe),
    ("jwk", tokens::jwk),
    ("certificate", tokens::certificate),
];

/// The body of this name.
#[cfg(feature = "fuzzing")]
pub fn body(name: &str) -> Option<fn(&[u8])> {
    BODIES.iter().find(|(own, _)| *own == name).map(|(_, body)| *body)
}

/// The first line, and the rest.
fn halves(data: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(data);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    (first.to_owned(), rest.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Mutations of each corpus file.
    const CHANGES: u64 = 150;

    /// Pseudo-random numbers, the same in each run (xorshift).
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % below.max(1) as u64) as usize
        }
    }

    /// Bytes that parsers treat specially.
    const PIECES: &[&[u8]] = &[
        b"\0",
        b"%",
        b"%00",
        b"%2e",
        b"\"",
        b"'",
        b"\\",
        b"<",
        b"&",
        b";",
        b"[",
        b"{",
        b"(",
        b"..",
        b"//",
        b"\r\n",
        b"\xff",
        b"\xc3\xa9",
        b"=",
        b"1e400",
        b"-",
        b".",
        b",",
        b"\xe2\x80\xae",
        b"$",
        b"@",
        b"*",
        b"]]>",
        b"-->",
        b"\xef\xbc\x8f",
    ];

    fn changed(seed: &[u8], numbers: &mut Numbers) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..=numbers.next(4) {
            let at = numbers.next(data.len() + 1);
            match numbers.next(6) {
                0 if at < data.len() => data[at] ^= 1 << numbers.next(8),
                1 if at < data.len() => drop(data.remove(at)),
                2 => data.truncate(at),
                3 => {
                    let end = at + numbers.next(data.len() + 1 - at);
                    let part = data[at..end].to_vec();
                    data.splice(at..at, part);
                }
                _ => drop(data.splice(at..at, PIECES[numbers.next(PIECES.len())].iter().copied())),
            }
        }
        data
    }

    #[test]
    fn every_body_holds_over_its_corpus_and_changes_of_it() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, body) in BODIES {
            let mut files: Vec<_> = std::fs::read_dir(corpus.join(name))
                .unwrap_or_else(|error| panic!("engine/fuzz/corpus/{name}: {error}"))
                .map(|entry| entry.unwrap().path())
                .collect();
            files.sort();
            assert!(!files.is_empty(), "engine/fuzz/corpus/{name} is empty");
            body(b"");
            for (number, file) in files.iter().enumerate() {
                let seed = std::fs::read(file).unwrap();
                let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
                let runs = std::iter::once(seed.clone()).chain((0..CHANGES).map(|_| changed(&seed, &mut numbers)));
                for data in runs {
                    let held = std::panic::catch_unwind(|| body(&data));
                    assert!(held.is_ok(), "{name}: {}", data.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn every_body_is_a_target() {
        let manifest = include_str!("../../fuzz/Cargo.toml");
        for (name, _) in BODIES {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "engine/fuzz/Cargo.toml lacks {name}");
        }
    }
}
