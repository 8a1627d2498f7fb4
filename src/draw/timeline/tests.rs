//! What a timeline shows.

use super::{Bar, Timeline};

fn bar(actor: &str, worker: i32, from: u64, to: u64) -> Bar<'_> {
    Bar { pool: "default", worker, program: false, actor, status: "finished", number: from, from, to }
}

fn rects(svg: &str) -> usize {
    svg.matches("<title>").count() - 1
}

#[test]
fn a_worker_has_a_row_and_what_ran_beside_it_another() {
    let mut timeline = Timeline::new("w/1", 1000);
    for (worker, from, to) in [(7, 1000, 2000), (7, 2000, 3000), (8, 1500, 2500), (7, 2500, 2600)] {
        timeline.add(bar("a <b>", worker, from, to));
    }
    let svg = timeline.svg();
    let document = roxmltree::Document::parse(&svg).expect("XML");
    let names: Vec<_> = document.descendants().filter(|node| node.attribute("text-anchor") == Some("end")).collect();
    let names: Vec<_> = names.iter().filter_map(|node| node.text()).collect();
    assert_eq!(names, ["default · 7", "default · 8", "default · 7"], "two tasks at once in one process are two rows");
    assert_eq!(rects(&svg), 4);
    assert!(svg.contains("a &lt;b&gt;"));
}

#[test]
fn programs_share_rows_and_so_do_many_workers() {
    let mut timeline = Timeline::new("w/1", 0);
    for index in 0..1000_u64 {
        let pid = index as i32;
        timeline.add(Bar { program: true, ..bar("exec", pid, index * 10, index * 10 + 10) });
        timeline.add(bar("python", 5000 + pid, index * 10, index * 10 + 10));
    }
    let svg = timeline.svg();
    let rows = svg.matches("text-anchor=\"end\"").count();
    assert!(rows <= 10, "{rows} rows");
}

#[test]
fn a_million_tasks_make_a_file_that_a_browser_opens() {
    let mut timeline = Timeline::new("w/1", 0);
    for index in 0..1_000_000_u64 {
        timeline.add(bar(if index % 1000 == 0 { "other" } else { "a" }, 1, index * 100, index * 100 + 90));
    }
    let svg = timeline.svg();
    assert!(rects(&svg) <= 20_000 && svg.len() < 8 << 20, "{} rectangles, {} bytes", rects(&svg), svg.len());
    assert!(svg.contains("a × 999000") && svg.contains("tasks from task"));
}

#[test]
fn a_page_is_a_page_and_an_empty_run_a_picture() {
    let page = Timeline::new("w/1 & more", 0).html();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<title>w/1 &amp; more</title>"));
}
