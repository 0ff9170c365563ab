//! A whole shop in a file: taken out as it was at a moment, and what was brought in.

use axum::response::Response;
use backstock_proto::problem::Problem;
use maud::{Markup, html};

use super::form::Form;
use super::restore::{PLANNING, instant};
use super::room::{Room, query};
use super::shell;
use crate::export::Import;
use crate::token::Scope;

/// The card on the restore page.
pub(super) fn card(room: &Room, imports: &[Import]) -> Markup {
    let may = room.may(Scope::Restore);
    html! {
        @if may || !imports.is_empty() {
            section.card aria-labelledby="file" {
                div.cardhead { h2 #file { "The whole shop in a file" } }
                @if may { (take_out(room)) }
                @if !imports.is_empty() {
                    h3 { "Brought in" }
                    ul.rows { @for import in imports { (brought_in(room, import)) } }
                }
                p.quiet.small {
                    "A file is brought in by " code { "backstock import FILE" } ", into this shop or another one. "
                    "Who took one out is on record" @if room.may(Scope::Admin) { " under “Who did what”" } "."
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

fn brought_in(room: &Room, import: &Import) -> Markup {
    let manifest = &import.manifest;
    html! {
        li { div.row {
            span.main {
                strong { (manifest.shop.name()) " as it was " (room.clock.short(manifest.at)) }
                span.what {
                    (shell::number(manifest.resources)) " things, "
                    (shell::number(manifest.media)) " pictures and files, " (size(import.bytes))
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
