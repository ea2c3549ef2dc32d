//! Diagnostics as text. The command line, the log and the status page all show them in this form.

use std::cell::OnceCell;
use std::cmp::Reverse;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{Diagnostic, Severity};
use crate::span::{FileId, Lines, Sources, Span};

/// Renders diagnostics for a terminal or a log, in the order of files and places, errors and warnings together. Each ends with a blank line.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    let path = |d: &Diagnostic| sources.files.get(d.span.file.0 as usize).map_or("", |source| source.path.as_str());
    sorted.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.span.start, d.span.end, Reverse(d.severity), d.code);
        path(a).cmp(path(b)).then_with(|| key(a).cmp(&key(b)))
    });
    let texts = Texts::new(sources);
    let renderer = renderer(colour);
    sorted.into_iter().map(|diagnostic| shown(diagnostic, &texts, &renderer) + "\n").collect()
}

/// Renders one diagnostic: what is wrong, the line with the place underlined and the likely fix beside it, further places, and how the
/// place was reached.
pub fn render_one(diagnostic: &Diagnostic, sources: &Sources, colour: bool) -> String {
    shown(diagnostic, &Texts::new(sources), &renderer(colour))
}

fn renderer(colour: bool) -> Renderer {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii)
}

fn shown(diagnostic: &Diagnostic, texts: &Texts<'_>, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        level.primary_title(one_line(&diagnostic.message)).id(diagnostic.code).elements(Vec::<annotate_snippets::Padding>::new());
    // One excerpt per file: first the file of the problem, with the related places in it.
    let mut files: Vec<FileId> = vec![diagnostic.span.file];
    for (span, _) in &diagnostic.related {
        if !files.contains(&span.file) {
            files.push(span.file);
        }
    }
    for file in files {
        let Some(source) = texts.sources.files.get(file.0 as usize) else { continue };
        let own = (file == diagnostic.span.file).then_some(diagnostic.span);
        let related = || diagnostic.related.iter().filter(|(span, _)| span.file == file);
        // The renderer reads the whole of what it is given, for each diagnostic: it is given the lines that matter.
        let lines = texts.lines(file, own.into_iter().chain(related().map(|(span, _)| *span)));
        let place = |span: Span| {
            let whole = range(&source.text, span);
            whole.start - lines.start..whole.end - lines.start
        };
        let excerpt = source.text.get(lines.clone()).unwrap_or("");
        let mut snippet = Snippet::source(excerpt).line_start(texts.line(file, lines.start)).path(source.path.as_str());
        if let Some(span) = own {
            let label = diagnostic.help.as_deref().map(one_line);
            snippet = snippet.annotation(AnnotationKind::Primary.span(place(span)).label(label));
        }
        for (span, note) in related() {
            snippet = snippet.annotation(AnnotationKind::Context.span(place(*span)).label(one_line(note)));
        }
        group = group.element(snippet);
    }
    for span in &diagnostic.included_by {
        if let Some(source) = texts.sources.files.get(span.file.0 as usize) {
            let line = texts.line(span.file, span.start as usize);
            group = group.element(Level::NOTE.no_name().message(format!("included by {}:{line}", source.path)));
        }
    }
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

/// The files with their lines, found once for all diagnostics.
struct Texts<'s> {
    sources: &'s Sources,
    lines: Vec<OnceCell<Lines>>,
}

impl<'s> Texts<'s> {
    fn new(sources: &'s Sources) -> Self {
        Texts { sources, lines: sources.files.iter().map(|_| OnceCell::new()).collect() }
    }

    fn of(&self, file: FileId) -> Option<(&'s str, &Lines)> {
        let (cell, source) = (self.lines.get(file.0 as usize)?, self.sources.files.get(file.0 as usize)?);
        Some((&source.text, cell.get_or_init(|| Lines::new(&source.text))))
    }

    /// The line of a place, from 1.
    fn line(&self, file: FileId, at: usize) -> usize {
        self.of(file).map_or(1, |(_, lines)| lines.line(at))
    }

    /// The lines that these spans touch, and what is between them.
    fn lines(&self, file: FileId, spans: impl Iterator<Item = Span>) -> std::ops::Range<usize> {
        let Some((text, lines)) = self.of(file) else { return 0..0 };
        let ranges = spans.map(|span| range(text, span));
        let (start, end) = ranges.fold((text.len(), 0), |(start, end), range| (start.min(range.start), end.max(range.end)));
        let begin = lines.begin(lines.line(start)).unwrap_or(0);
        let end = lines.begin(lines.line(end) + 1).unwrap_or(text.len());
        begin..end.max(begin)
    }
}

/// A span as a range inside the text, on whole characters.
fn range(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = floor(text, span.start as usize);
    start..floor(text, span.end as usize).max(start)
}

fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Line ends and control characters of quoted text must not break the layout of a log.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
