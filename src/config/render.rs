//! Diagnostics as people see them: the message, the line it is about with a mark below, and how to mend it.

use std::borrow::Cow;
use std::fmt;
use std::io::IsTerminal;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents, ThemeCharacters, ThemeStyles,
};

use super::diagnostics::{Diagnostic, Severity};
use super::source::Source;
use crate::text as safe;

/// How diagnostics are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Line-drawing characters, no colours.
    Plain,
    /// With colours.
    Colour,
    /// Nothing beyond ASCII.
    Ascii,
}

impl Style {
    /// What suits standard error: colours on a terminal without `NO_COLOR`, ASCII where the locale is not UTF-8.
    pub fn for_stderr() -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .unwrap_or_default()
            .to_ascii_lowercase();
        if !locale.contains("utf-8") && !locale.contains("utf8") && !locale.is_empty() {
            return Style::Ascii;
        }
        if Style::colours_on_stderr() { Style::Colour } else { Style::Plain }
    }

    /// Whether standard error is a terminal with colours, and nobody has said `NO_COLOR`.
    pub fn colours_on_stderr() -> bool {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        std::io::stderr().is_terminal() && !plain && !dumb
    }
}

/// So many diagnostics are shown, and the number of the others.
const MOST: usize = 50;
/// The text becomes no longer than about this, bytes: it is also the answer to a Reload over D-Bus.
const LONGEST: usize = 256 << 10;
/// So many places of one diagnostic are shown.
const MOST_LABELS: usize = 8;
/// Longer messages are shown in part, characters.
const LONGEST_MESSAGE: usize = 1000;

/// The diagnostics, one after the other; where there are many, the first ones, errors before warnings.
pub fn render(diagnostics: &[Diagnostic], style: Style) -> String {
    let shown = to_show(diagnostics);
    let theme = match style {
        Style::Plain => GraphicalTheme::unicode_nocolor(),
        Style::Colour => GraphicalTheme::unicode(),
        Style::Ascii => GraphicalTheme { characters: ThemeCharacters::ascii(), styles: ThemeStyles::none() },
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(120).with_links(false);
    let handler = if style == Style::Colour { handler } else { handler.without_syntax_highlighting() };
    let mut text = String::new();
    let mut left = diagnostics.len();
    for diagnostic in shown {
        if text.len() > LONGEST {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&draw(diagnostic, &handler));
        left -= 1;
    }
    if left > 0 {
        let _ = fmt::Write::write_fmt(&mut text, format_args!("\n  … and {left} more\n"));
    }
    // Empty lines of a report end in spaces.
    if style == Style::Ascii {
        text = text.replace('…', "...").replace('→', "->");
    }
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// Those that are shown, in their order.
fn to_show(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
    let mut warnings = MOST.saturating_sub(diagnostics.iter().filter(is_error).count());
    let mut is_wanted = |diagnostic: &&Diagnostic| {
        let fits = is_error(diagnostic) || warnings > 0;
        warnings = warnings.saturating_sub(usize::from(!is_error(diagnostic)));
        fits
    };
    diagnostics.iter().filter(|it| is_wanted(it)).take(MOST).collect()
}

/// One diagnostic. A text that the drawing of it cannot cope with costs the picture, and not the service that reads its
/// file again.
fn draw(diagnostic: &Diagnostic, handler: &GraphicalReportHandler) -> String {
    let drawn = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let shown = Shown { diagnostic, excerpts: Excerpts(diagnostic.source.clone()) };
        let mut text = String::new();
        if diagnostic.labels.is_empty() {
            text = format!("{}:\n", safe::line(diagnostic.file()));
        }
        handler.render_report(&mut text, &shown).map(|()| text)
    }));
    drawn.ok().and_then(Result::ok).unwrap_or_else(|| plainly(diagnostic))
}

/// Without a picture: what is wrong, and where.
fn plainly(diagnostic: &Diagnostic) -> String {
    let at = diagnostic.position().map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
    let help = diagnostic.help.as_deref().map_or_else(String::new, |help| format!("  help: {}\n", shortened(help)));
    format!("  {}{at}: {}\n{help}", safe::line(diagnostic.file()), shortened(&diagnostic.message))
}

/// As much of a text as is shown, without what drives a terminal.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", safe::lines(&text[..end])).into(),
        None => safe::lines(text),
    }
}

/// One diagnostic as miette takes it.
#[derive(Debug)]
struct Shown<'d> {
    diagnostic: &'d Diagnostic,
    excerpts: Excerpts,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(&self.diagnostic.message))
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_deref().map(|help| Box::new(shortened(help)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.diagnostic.labels.is_empty()).then_some(&self.excerpts as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let source = &self.diagnostic.source;
        Some(Box::new(self.diagnostic.labels.iter().take(MOST_LABELS).enumerate().map(|(index, label)| {
            // A mark stays on its first line: what is wrong with a table is said at its head.
            let line = source.line_span(label.span.start);
            let start = source.boundary(label.span.start).min(line.end);
            let end = source.boundary(label.span.end).clamp(start, line.end).min(start + EXCERPT / 2);
            let end = source.boundary(end).max(start);
            let text = (!label.text.is_empty()).then(|| shortened(&label.text).into_owned());
            if index == 0 {
                LabeledSpan::new_primary_with_span(text, start..end)
            } else {
                LabeledSpan::new_with_span(text, start..end)
            }
        })))
    }
}

/// Longer lines are shown in part, in bytes.
const EXCERPT: usize = 200;

/// Hands miette the lines that it draws, without walking through the whole file each time.
#[derive(Debug)]
struct Excerpts(Arc<Source>);

impl SourceCode for Excerpts {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_before: usize,
        _context_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // Places that are far from each other have a picture each: miette asks whether they fit into one.
        if span.len() > 2 * EXCERPT {
            return Err(MietteError::OutOfBounds);
        }
        let source = &*self.0;
        let (from, to) = (source.boundary(span.offset()), source.boundary(span.offset() + span.len()));
        // miette asks twice: without context for the position in the heading, with a line of context for what it
        // draws. The lines themselves are enough.
        let (start, end) = if context_before == 0 {
            (from, to)
        } else {
            let (first, last) = (source.line_span(from), source.line_span(to));
            // With its end, be it one byte or two: a mark may stand there.
            let line_end = source.text()[last.end..].find('\n').map_or(0, |length| length + 1);
            let start = if from - first.start > EXCERPT { source.boundary(from - EXCERPT / 2) } else { first.start };
            let end = if last.end - to > EXCERPT { source.boundary(to + EXCERPT / 2) } else { last.end + line_end };
            (start, end)
        };
        let position = source.position(start);
        let last = source.position(end);
        Ok(Box::new(MietteSpanContents::new_named(
            safe::line(source.name()).into_owned(),
            &source.masked().as_bytes()[start..end],
            SourceSpan::from(start..end),
            position.line - 1,
            position.column - 1,
            last.line - position.line + 1,
        )))
    }
}
