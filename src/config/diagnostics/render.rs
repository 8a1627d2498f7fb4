//! Diagnostics as text: the message, the marked line, and the help. Drawn by miette.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::IsTerminal;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents, ThemeCharacters, ThemeStyles,
};

use super::diagnostic::{Diagnostic, Severity};
use crate::config::toml::source::Source;
use crate::text as safe;

/// How diagnostics are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Line-drawing characters without colours.
    Plain,
    /// With colours.
    Colour,
    /// ASCII only.
    Ascii,
}

impl Style {
    /// The style for standard error: colours on a terminal unless `NO_COLOR` is set, ASCII if the locale is not UTF-8.
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

    /// Whether standard error is a terminal with colours and `NO_COLOR` is not set.
    pub fn colours_on_stderr() -> bool {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        std::io::stderr().is_terminal() && !plain && !dumb
    }
}

/// Maximum number of diagnostics that are shown. The others are counted.
const MAX_SHOWN: usize = 50;
/// Approximate maximum length of the text in bytes. The text is also sent over D-Bus, as the answer to Reload.
const MAX_TEXT: usize = 256 << 10;
/// Maximum number of marks of one diagnostic.
const MAX_LABELS: usize = 8;
/// Maximum length of a message, in characters.
const MAX_MESSAGE: usize = 1000;

/// The diagnostics as text. Of many, the first ones are shown; errors take precedence over warnings.
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
        if text.len() > MAX_TEXT {
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
    // miette ends empty lines in spaces.
    if style == Style::Ascii {
        text = text.replace('…', "...").replace('→', "->");
    }
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// The diagnostics that are shown, in their order.
fn to_show(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
    let mut warnings = MAX_SHOWN.saturating_sub(diagnostics.iter().filter(is_error).count());
    let mut is_wanted = |diagnostic: &&Diagnostic| {
        let fits = is_error(diagnostic) || warnings > 0;
        warnings = warnings.saturating_sub(usize::from(!is_error(diagnostic)));
        fits
    };
    diagnostics.iter().filter(|it| is_wanted(it)).take(MAX_SHOWN).collect()
}

/// One diagnostic. If miette panics on a text, the diagnostic is shown without the marked line: a service must survive a
/// broken file at Reload.
fn draw(diagnostic: &Diagnostic, handler: &GraphicalReportHandler) -> String {
    let drawn = catch_silently(|| {
        let report = MietteDiagnostic { diagnostic, excerpts: Excerpts(diagnostic.source.clone()) };
        let mut text = String::new();
        if diagnostic.labels.is_empty() {
            text = format!("{}:\n", safe::line(diagnostic.file()));
        }
        handler.render_report(&mut text, &report).map(|()| text)
    });
    drawn.and_then(Result::ok).unwrap_or_else(|| plainly(diagnostic))
}

thread_local! {
    static IS_DRAWING: Cell<bool> = const { Cell::new(false) };
}

/// The result of `draw`, or nothing if it panics. The panic is not printed: the caller has another way to show the text.
fn catch_silently<T>(draw: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_DRAWING.get() {
                print(panic);
            }
        }));
    });
    IS_DRAWING.set(true);
    let drawn = std::panic::catch_unwind(AssertUnwindSafe(draw));
    IS_DRAWING.set(false);
    drawn.ok()
}

/// The diagnostic without the marked line: file, position, message and help.
fn plainly(diagnostic: &Diagnostic) -> String {
    let at = diagnostic.position().map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
    let help = diagnostic.help.as_deref().map_or_else(String::new, |help| format!("  help: {}\n", shortened(help)));
    format!("  {}{at}: {}\n{help}", safe::line(diagnostic.file()), shortened(&diagnostic.message))
}

/// The beginning of a text, with control characters escaped.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", safe::lines(&text[..end])).into(),
        None => safe::lines(text),
    }
}

/// Adapts a diagnostic to miette.
#[derive(Debug)]
struct MietteDiagnostic<'d> {
    diagnostic: &'d Diagnostic,
    excerpts: Excerpts,
}

impl fmt::Display for MietteDiagnostic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(&self.diagnostic.message))
    }
}

impl std::error::Error for MietteDiagnostic<'_> {}

impl miette::Diagnostic for MietteDiagnostic<'_> {
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
        Some(Box::new(self.diagnostic.labels.iter().take(MAX_LABELS).enumerate().map(|(index, label)| {
            // A mark covers only its first line: the mark of a table is below its header.
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

/// Longer lines are shortened to about this many bytes on each side of the mark.
const EXCERPT: usize = 200;

/// Gives miette the lines that it draws. Its own implementation walks through the whole file for each mark.
#[derive(Debug)]
struct Excerpts(Arc<Source>);

impl SourceCode for Excerpts {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_before: usize,
        _context_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // miette asks whether several marks fit into one excerpt. Marks that are far apart get one excerpt each.
        if span.len() > 2 * EXCERPT {
            return Err(MietteError::OutOfBounds);
        }
        let source = &*self.0;
        let (from, to) = (source.boundary(span.offset()), source.boundary(span.offset() + span.len()));
        // miette asks twice: without context for the position in the heading, and with one line of context for the excerpt.
        // The excerpt consists of the marked lines only.
        let (start, end) = if context_before == 0 {
            (from, to)
        } else {
            let (first, last) = (source.line_span(from), source.line_span(to));
            // Including the line break (one or two bytes): a mark may be there.
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

#[cfg(test)]
mod tests {
    use super::catch_silently;

    #[test]
    fn a_panic_of_the_drawing_is_caught() {
        assert_eq!(catch_silently(|| 1), Some(1));
        assert_eq!(catch_silently(|| -> u8 { panic!("printed nowhere") }), None);
        assert_eq!(catch_silently(|| 2), Some(2));
    }
}
