//! What every page stands in, and the pieces that many of them use.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use maud::{DOCTYPE, Markup, html};

use super::asset::{ICON, SCRIPT, STYLE};
use super::form::SEAL;
use super::room::Room;
use crate::token::Scope;

/// The media type of a page.
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// A page on its way out.
pub(crate) struct Shown(pub(crate) Markup);

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, HTML)], self.0.into_string()).into_response()
    }
}

/// Which part of the page is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Find,
    Changes,
    Restore,
    Guard,
    Privacy,
    Audit,
}

/// Every part: where it is, what it is called, what stands before it.
const TABS: &[(Tab, &str, &str, &str)] = &[
    (
        Tab::Overview,
        "",
        "Overview",
        "M4 11.5 12 5l8 6.5V19a1 1 0 0 1-1 1h-4.5v-5h-5v5H5a1 1 0 0 1-1-1z",
    ),
    (Tab::Find, "/find", "Find", "M11 4.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Zm5 11.5 4 4"),
    (Tab::Changes, "/changes", "Changes", "M4 7h10M4 12h16M4 17h7M17.5 4.5v5M15 7h5"),
    (Tab::Restore, "/restore", "Restore", "M5 5v5h5M5.6 9.6A7.5 7.5 0 1 1 4.7 14M12 8.5V13l3 2"),
    (Tab::Guard, "/guard", "Guard", "M12 3 5 6v5c0 4.5 3 7.8 7 10 4-2.2 7-5.5 7-10V6z"),
    (Tab::Privacy, "/privacy", "Privacy", "M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3"),
    (
        Tab::Audit,
        "/audit",
        "Who did what",
        "M12 4.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7ZM5 20a7 7 0 0 1 14 0",
    ),
];

/// A page of a shop.
pub(crate) fn page(room: &Room, tab: Tab, title: &str, content: Markup) -> Shown {
    let body = html! {
        a.skip href="#content" { "Skip to the content" }
        header.top {
            a.brand href=(room.path()) aria-label="Backstock, overview" { (icon()) span { "Backstock" } }
            form.search role="search" action={ (room.path()) "/find" } {
                label.hidden for="q" { "Find a product, an order, a page …" }
                input #q type="search" name="q" placeholder="Find anything, also what was deleted" autocomplete="off" data-key="/";
            }
            div.who {
                a.shop href="/" title="Choose another shop" { (room.shop.name()) }
                // Who came from Shopify's admin leaves by it.
                @if !room.is_framed() {
                    form method="post" action="/signout" {
                        (sealed(room))
                        button.plain type="submit" { "Sign out" }
                    }
                }
            }
        }
        div.columns {
            nav.tabs aria-label="Parts of the page" {
                ul {
                    @for (of, path, name, shape) in TABS.iter().filter(|(of, ..)| is_open(room, *of)) {
                        li {
                            a href={ (room.path()) (path) } aria-current=[(*of == tab).then_some("page")] {
                                (glyph(shape)) span { (name) }
                            }
                        }
                    }
                }
            }
            main #content tabindex="-1" {
                (content)
                footer.foot {
                    "Times are in " (room.clock.zone()) ". "
                    a href="/v1/openapi.json" target=[room.is_framed().then_some("_blank")] { "API" }
                }
            }
        }
    };
    Shown(document(&format!("{title} · {} · Backstock", room.shop.name()), body))
}

/// Whether whoever looks may see a part.
fn is_open(room: &Room, tab: Tab) -> bool {
    !matches!(tab, Tab::Privacy | Tab::Audit) || room.may(Scope::Admin)
}

/// A page that stands for itself.
pub(crate) fn alone(title: &str, content: Markup) -> Markup {
    document(
        &format!("{title} · Backstock"),
        html! {
            main.alone #content {
                div.brand { (icon()) span { "Backstock" } }
                section.card { (content) }
                footer.foot {
                    "Every version of everything in a Shopify store. "
                    a href="/v1/openapi.json" { "API" }
                }
            }
        },
    )
}

fn document(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="description" content="Every version of everything in a Shopify store.";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href=(STYLE.address());
                link rel="icon" type="image/svg+xml" href=(ICON.address());
                script src=(SCRIPT.address()) defer {}
            }
            body { (body) }
        }
    }
}

fn icon() -> Markup {
    html! { img.logo src=(ICON.address()) width="28" height="28" alt=""; }
}

/// A small drawing that only repeats what stands beside it.
pub(crate) fn glyph(shape: &str) -> Markup {
    html! {
        svg.glyph viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false" {
            path d=(shape) {}
        }
    }
}

/// What every form that writes carries.
pub(crate) fn sealed(room: &Room) -> Markup {
    html! { input type="hidden" name=(SEAL) value=(room.seal); }
}

/// How something is, in a word and a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    Good,
    Plain,
    Notice,
    Warning,
    Bad,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Plain => "neutral",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

pub(crate) fn badge(tone: Tone, text: &str) -> Markup {
    html! { span.badge.(tone.class()) { (text) } }
}

/// The head of a page.
pub(crate) fn heading(title: &str, beside: Markup) -> Markup {
    html! { div.heading { h1 { (title) } (beside) } }
}

/// What stands where there is nothing to show.
pub(crate) fn empty(title: &str, text: Markup) -> Markup {
    html! {
        div.empty {
            (glyph("M5 8.5 12 5l7 3.5v7L12 19l-7-3.5zM5 8.5l7 3.5 7-3.5M12 12v7"))
            p.title { (title) }
            p.quiet { (text) }
        }
    }
}

/// The way to the first and to the next part of a long list.
pub(crate) fn paging(first: Option<String>, next: Option<String>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav.paging aria-label="Pages of the list" {
                @if let Some(first) = first { a.button href=(first) { "Back to the beginning" } }
                @if let Some(next) = next { a.button href=(next) rel="next" { "Next" } }
            }
        }
    }
}

/// A number with its thousands apart.
pub(crate) fn number(n: u64) -> String {
    crate::human::grouped(n)
}

/// `1 gap`, `2 gaps`.
pub(crate) fn many(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", number(n), if n == 1 { "" } else { "s" })
}

/// With a capital letter.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
