//! Writing a timeline.

use std::fmt::Write;
use std::time::Duration;

use super::super::text::{elided, width, xml};
use super::{Outcome, Task, Timeline};
use crate::accounting::time;

const MARGIN: f64 = 16.0;
const WIDTH: f64 = 1200.0;
const ROW: f64 = 22.0;
const BAR: f64 = 16.0;
const HEAD: f64 = 34.0;
const AXIS: f64 = 24.0;
const FONT: f64 = 12.0;
const LONGEST_NAME: usize = 32;
/// More bars than this are drawn together where they follow each other closely.
const MOST_BARS: usize = 20_000;
const FAILED: &str = "#c62828";

/// Colours that differ also for people who do not tell red from green (after Okabe and Ito, and paler ones of them). Red is
/// kept for what failed.
const COLOURS: [&str; 10] =
    ["#0072b2", "#e69f00", "#009e73", "#56b4e9", "#cc79a7", "#8c6d31", "#7b6fd0", "#b8b800", "#5f8a8b", "#a0a0a0"];

const STYLE: &str = "text{font-family:system-ui,sans-serif;font-size:12px;fill:#263238}\
.title{font-size:15px;font-weight:600}.axis{fill:#607d8b;font-size:11px}text{user-select:none}\
.bars{cursor:grab;touch-action:pan-y}rect.running{fill-opacity:.55}";

/// What zooms. It places the bars by their times (`data-t`, microseconds), which are exact however far one goes in.
const SCRIPT: &str = include_str!("zoom.js");

pub(super) fn document(timeline: Timeline) -> String {
    Picture::of(timeline).document()
}

pub(super) fn page(timeline: Timeline) -> String {
    let title = xml(&timeline.title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{margin:0;background:#fff}}svg{{width:100%;height:auto}}</style></head>\n<body>\n{}\n</body></html>\n",
        document(timeline)
    )
}

struct Picture {
    timeline: Timeline,
    rows: Vec<(usize, String)>,
    left: f64,
    span: u64,
    top: f64,
    legend: Vec<(f64, f64)>,
}

impl Picture {
    fn of(mut timeline: Timeline) -> Self {
        let span = timeline.end.saturating_sub(timeline.start).max(1);
        if timeline.tasks.len() > MOST_BARS {
            timeline.tasks = together(std::mem::take(&mut timeline.tasks), span / 8192);
        }
        let rows = timeline.lanes.shown();
        let names = rows.iter().map(|(_, name)| width(&elided(name, LONGEST_NAME)) * FONT).fold(0.0, f64::max);
        let left = MARGIN + names + 12.0;
        let (legend, legend_height) = legend(&timeline);
        let top = HEAD + legend_height + AXIS;
        Picture { timeline, rows, left, span, top, legend }
    }

    fn x(&self, at: u64) -> f64 {
        at as f64 / self.span as f64 * self.width()
    }

    fn width(&self) -> f64 {
        WIDTH - self.left - MARGIN
    }

    fn document(&self) -> String {
        let height = self.top + ROW * self.rows.len().max(1) as f64 + MARGIN;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\">\n<title>{0}</title>\n<style>{STYLE}</style>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text class=\"title\" x=\"{MARGIN}\" y=\"22\">{0}</text>\n",
            xml(&self.timeline.title)
        );
        self.put_legend(&mut out);
        self.put_rows(&mut out);
        self.put_axis(&mut out, height);
        self.put_bars(&mut out, height);
        let _ = write!(out, "<script>//<![CDATA[\n{SCRIPT}//]]></script>\n</svg>\n");
        out
    }

    fn put_legend(&self, out: &mut String) {
        for ((name, count), (index, (x, y))) in self.timeline.actors.iter().zip(self.legend.iter().enumerate()) {
            let text = entry(name, *count);
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                y - 10.5,
                colour(index),
                x + 17.0,
                xml(&text)
            );
        }
    }

    fn put_rows(&self, out: &mut String) {
        for (place, (_, name)) in self.rows.iter().enumerate() {
            let y = self.top + ROW * place as f64;
            let shade = if place % 2 == 0 { "#f5f7f8" } else { "#fff" };
            let _ = writeln!(
                out,
                "<rect x=\"{MARGIN}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{ROW}\" fill=\"{shade}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - 2.0 * MARGIN,
                self.left - 8.0,
                y + 15.0,
                xml(&elided(name, LONGEST_NAME))
            );
        }
    }

    /// The script draws it anew when the picture is zoomed: this is what is there without one.
    fn put_axis(&self, out: &mut String, height: f64) {
        let _ = writeln!(
            out,
            "<g id=\"axis\" data-span=\"{}\" data-left=\"{:.1}\" data-width=\"{:.1}\" data-top=\"{:.1}\" data-bottom=\"{:.1}\">",
            self.span,
            self.left,
            self.width(),
            self.top,
            height - MARGIN
        );
        let step = step(self.span, 8);
        let mut at = 0;
        while at <= self.span {
            let x = self.left + self.x(at);
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#cfd8dc\"/>\
                 <text class=\"axis\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                self.top - 4.0,
                height - MARGIN,
                self.top - 9.0,
                tick(at, step)
            );
            at += step;
        }
        out.push_str("</g>\n");
    }

    fn put_bars(&self, out: &mut String, height: f64) {
        let (width, rows) = (self.width(), height - MARGIN - self.top);
        let _ = writeln!(
            out,
            "<svg id=\"bars\" class=\"bars\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{rows:.1}\" \
             viewBox=\"0 0 {width:.1} {rows:.1}\" preserveAspectRatio=\"none\">\n\
             <rect width=\"{width:.1}\" height=\"{rows:.1}\" fill=\"#fff\" fill-opacity=\"0\"/>",
            self.left, self.top
        );
        let mut places = vec![0; self.rows.iter().map(|(row, _)| row + 1).max().unwrap_or_default()];
        for (place, (row, _)) in self.rows.iter().enumerate() {
            places[*row] = place;
        }
        for task in &self.timeline.tasks {
            let (from, to) = (self.x(task.from), self.x(task.to));
            let y = ROW * places[task.lane] as f64 + (ROW - BAR) / 2.0;
            let (fill, class) = match task.outcome {
                Outcome::Finished => (colour(task.actor), ""),
                Outcome::Running => (colour(task.actor), " class=\"running\""),
                Outcome::Other => ("#eceff1", " stroke=\"#90a4ae\" vector-effect=\"non-scaling-stroke\""),
                Outcome::Failed => (FAILED, ""),
            };
            // What is too short to be seen is seen.
            let wide = (to - from).max(width / 2400.0);
            let from = from.min(width - wide);
            let _ = writeln!(
                out,
                "<rect x=\"{from:.3}\" y=\"{y:.1}\" width=\"{wide:.3}\" height=\"{BAR}\" fill=\"{fill}\"{class} \
                 data-t=\"{} {}\"><title>{}</title></rect>",
                task.from,
                task.to,
                xml(&self.told(task))
            );
        }
        out.push_str("</svg>\n");
    }

    /// What the pointer is told over a bar.
    fn told(&self, task: &Task) -> String {
        let name = &self.timeline.actors[task.actor].0;
        let at = time(Duration::from_micros(task.from));
        let took = time(Duration::from_micros(task.to - task.from));
        if task.count > 1 {
            return format!("{name}: {} tasks from task {} on, in {took} after {at}", task.count, task.number);
        }
        let how = match task.outcome {
            Outcome::Finished => "took",
            Outcome::Running => "runs since",
            Outcome::Failed => "failed after",
            Outcome::Other => "ended early, after",
        };
        format!("{name}, task {}: {how} {took}, begun after {at}", task.number)
    }
}

/// Draws tasks of an actor as one that follow each other in a lane with less between them than this.
fn together(tasks: Vec<Task>, gap: u64) -> Vec<Task> {
    let mut last: Vec<Option<usize>> = Vec::new();
    let mut kept: Vec<Task> = Vec::new();
    for task in tasks {
        if last.len() <= task.lane {
            last.resize(task.lane + 1, None);
        }
        if let Some(before) = last[task.lane].map(|at| &mut kept[at])
            && before.actor == task.actor
            && before.outcome == task.outcome
            && task.from.saturating_sub(before.to) <= gap
            && task.to - before.from <= 8 * gap
        {
            before.to = before.to.max(task.to);
            before.count += 1;
        } else {
            last[task.lane] = Some(kept.len());
            kept.push(task);
        }
    }
    kept
}

fn colour(actor: usize) -> &'static str {
    COLOURS[actor % COLOURS.len()]
}

fn entry(name: &str, count: usize) -> String {
    let name = elided(name, LONGEST_NAME);
    if count == 1 { name } else { format!("{name} × {count}") }
}

/// Where the names of the actors stand, and how much room they take.
fn legend(timeline: &Timeline) -> (Vec<(f64, f64)>, f64) {
    let (mut x, mut y) = (MARGIN, HEAD + 12.0);
    let mut places = Vec::new();
    for (name, count) in &timeline.actors {
        let wide = 17.0 + width(&entry(name, *count)) * FONT + 18.0;
        if x + wide > WIDTH - MARGIN && x > MARGIN {
            (x, y) = (MARGIN, y + 18.0);
        }
        places.push((x, y));
        x += wide;
    }
    (places, y - HEAD + 10.0)
}

/// The distance of the marks on the axis: 1, 2 or 5 of a power of ten, or of what clocks have.
fn step(span: u64, wanted: u64) -> u64 {
    const SECOND: u64 = 1_000_000;
    let least = (span / wanted).max(1);
    let decimal = (0..7).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let clock =
        [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400].map(|it| it * SECOND);
    let found = decimal.chain(clock).find(|step| *step >= least);
    found.unwrap_or_else(|| least.div_ceil(86_400 * SECOND) * 86_400 * SECOND)
}

fn tick(at: u64, step: u64) -> String {
    let seconds = at / 1_000_000;
    match step {
        60_000_000.. => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
        1_000_000.. if seconds >= 60 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        1_000_000.. => format!("{seconds} s"),
        100_000.. => format!("{:.1} s", at as f64 / 1e6),
        10_000.. => format!("{:.2} s", at as f64 / 1e6),
        1_000.. => format!("{} ms", at / 1_000),
        _ => format!("{at} µs"),
    }
}
