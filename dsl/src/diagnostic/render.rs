//! Diagnostics as text. The command line, the log and the status page all show them in this form.

use std::cmp::Reverse;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{Diagnostic, Severity};
use crate::span::{FileId, Sources, Span};

/// Renders diagnostics for a terminal or a log, in the order of files and places, errors and warnings together. Each ends with a blank line.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    let path = |d: &Diagnostic| sources.files.get(d.span.file.0 as usize).map_or("", |source| source.path.as_str());
    sorted.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.span.start, d.span.end, Reverse(d.severity), d.code);
        path(a).cmp(path(b)).then_with(|| key(a).cmp(&key(b)))
    });
    sorted.into_iter().map(|diagnostic| render_one(diagnostic, sources, colour) + "\n").collect()
}

/// Renders one diagnostic: what is wrong, the line with the place underlined and the likely fix beside it, further places, and how the
/// place was reached.
pub fn render_one(diagnostic: &Diagnostic, sources: &Sources, colour: bool) -> String {
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
        let Some(source) = sources.files.get(file.0 as usize) else { continue };
        let mut snippet = Snippet::source(source.text.as_str()).path(source.path.as_str());
        if file == diagnostic.span.file {
            let label = diagnostic.help.as_deref().map(one_line);
            snippet = snippet.annotation(AnnotationKind::Primary.span(range(&source.text, diagnostic.span)).label(label));
        }
        for (span, note) in diagnostic.related.iter().filter(|(span, _)| span.file == file) {
            snippet = snippet.annotation(AnnotationKind::Context.span(range(&source.text, *span)).label(one_line(note)));
        }
        group = group.element(snippet);
    }
    for span in &diagnostic.included_by {
        if let Some(source) = sources.files.get(span.file.0 as usize) {
            let (line, _) = crate::span::line_column(&source.text, span.start as usize);
            group = group.element(Level::NOTE.no_name().message(format!("included by {}:{line}", source.path)));
        }
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
    text.push('\n');
    text
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
