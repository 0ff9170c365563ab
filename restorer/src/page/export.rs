//! A whole shop in a file: taken out as it was at a moment, and what was brought in.

use axum::body::Body;
use axum::response::Response;
use backstock_proto::problem::Problem;
use maud::{Markup, html};

use super::form::{FILE, Form, Upload};
use super::restore::{PLANNING, instant, planned};
use super::room::{Room, query};
use super::shell;
use crate::export::Import;
use crate::plan::Request;
use crate::refuse;
use crate::token::Scope;

/// The card on the restore page.
pub(super) fn card(room: &Room, imports: &[Import]) -> Markup {
    let may = room.may(Scope::Restore);
    html! {
        @if may || !imports.is_empty() {
            section.card aria-labelledby="file" {
                div.cardhead { h2 #file { "The whole shop in a file" } }
                @if may { (take_out(room)) (bring_in(room)) }
                @if !imports.is_empty() {
                    h3 { "Brought in" }
                    ul.rows { @for import in imports { (brought_in(room, import)) } }
                }
                p.quiet.small {
                    "Who took one out or brought one in is on record" @if room.may(Scope::Admin) { " under “Who did what”" } "."
                }
            }
        }
    }
}

fn take_out(room: &Room) -> Markup {
    html! {
        form.filters.open method="post" action={ (room.path()) "/export" } data-again="" {
            (shell::sealed(room))
            div.field {
                label for="export-at" { "As it was at (" (room.clock.zone()) ")" }
                input #export-at type="datetime-local" step="1" name="at" required
                    value=(room.clock.input(room.clock.now()))
                    max=(room.clock.input(room.clock.now()));
            }
            p.field.wide.quiet.small {
                "Everything that is kept of that moment, with its pictures and files, in an open format: "
                "tar, compressed with Zstandard."
            }
            button.button type="submit" { "Download" }
        }
    }
}

fn bring_in(room: &Room) -> Markup {
    html! {
        form.filters.open method="post" action={ (room.path()) "/import" } enctype="multipart/form-data" {
            // Read in this order: whose form it is, then the file.
            (shell::sealed(room))
            div.field {
                label for="import-file" { "A file to bring in" }
                input #import-file type="file" name=(FILE) accept=".zst" required;
            }
            p.field.wide.quiet.small {
                "Of this shop or of another one. All of it is checked, and what it holds becomes a plan: "
                "nothing is written yet."
            }
            button.button type="submit" data-busy="Bringing it in…" { "Bring it in and plan…" }
        }
    }
}

fn brought_in(room: &Room, import: &Import) -> Markup {
    let manifest = &import.manifest;
    html! {
        li { div.row {
            span.main {
                strong { (manifest.shop.name()) " as it was " (room.clock.short(manifest.at)) }
                span.what {
                    (shell::number(manifest.resources)) " things, "
                    (shell::number(manifest.media)) " pictures and files, " (size(import.bytes))
                    @if manifest.media_missing > 0 { ", without " (shell::number(manifest.media_missing)) " that were never kept" }
                    " · by " (import.by) ", " (room.clock.time(import.imported_at))
                }
            }
            @if room.may(Scope::Restore) {
                form method="post" action={ (room.path()) "/restore" } {
                    (shell::sealed(room))
                    input type="hidden" name="export" value=(import.id);
                    input type="hidden" name="update" value="yes";
                    input type="hidden" name="create" value="yes";
                    button.button type="submit" data-busy=(PLANNING) { "Plan what it holds…" }
                }
            }
        } }
    }
}

/// `1.2 MB`.
fn size(bytes: u64) -> String {
    let in_units = |unit: f64| bytes as f64 / unit;
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", in_units(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", in_units(1e6)),
        _ => format!("{:.1} GB", in_units(1e9)),
    }
}

/// The file, as it comes.
pub(crate) async fn export(room: Room, form: Form) -> Result<Response, Problem> {
    let at = instant(&room, &form, "at")?.unwrap_or_else(|| room.clock.now());
    room.file(&format!("export{}", query(&[("at", Some(at.to_string()))]))).await
}

/// Takes a file, and shows the plan of what it holds.
pub(crate) async fn import(room: Room, Upload(file): Upload) -> Result<Response, Problem> {
    let brought = room.bring("exports", Body::from_stream(file)).await;
    let import: Import = brought.map_err(not_taken)?;
    planned(&room, &Request { export: Some(import.id), ..Request::default() }).await
}

/// What is said of a file that is not one of ours, or not all of one.
fn not_taken(problem: Problem) -> Problem {
    if problem.status != 400 {
        return problem;
    }
    refuse::bad_request(format!(
        "this file is not taken: {}. What can be brought in is a whole file as it is downloaded here, or \
         as `backstock export` writes it",
        problem.detail
    ))
}
