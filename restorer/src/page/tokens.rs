//! Who may do what: the tokens that open this shop, by what people call them. What proves them is never
//! shown, and neither is a shop that whoever looks does not see.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::room::Room;
use super::shell::{self, Tone};
use crate::token::{Scope, Shops, Token};

/// The card that lists them.
pub(super) fn card(room: &Room) -> Markup {
    let all = room.desk.tokens.all();
    let mut tokens: Vec<&Token> =
        all.iter().map(AsRef::as_ref).filter(|token| token.shops.holds(&room.shop)).collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    html! {
        section.card aria-labelledby="tokens" {
            div.cardhead { h2 #tokens { "Who may do what" } span.quiet.small { (shell::many(tokens.len() as u64, "token")) @if tokens.len() == 1 { " opens" } @else { " open" } " this shop" } }
            ul.rows { @for token in &tokens { (row(room, token)) } }
            p.quiet.small {
                "A token is a " code { "[[token]]" } " in " code { "backstock.toml" }
                ". One that is taken out there is refused at once, and so are its sessions."
            }
        }
    }
}

fn row(room: &Room, token: &Token) -> Markup {
    let is_ours = room.visit.session.as_ref().is_some_and(|session| session.token == token.digest);
    html! {
        li { div.row {
            span.main {
                strong { (token.name) } @if is_ours { " " span.quiet { "you" } }
                span.what { (may(&token.scopes)) " · " (where_to(room, token)) }
            }
            span.side {
                span.badges {
                    @for scope in &token.scopes { (shell::badge(tone(*scope), scope.as_str())) " " }
                }
            }
        } }
    }
}

/// What it may do, in a sentence.
fn may(scopes: &BTreeSet<Scope>) -> String {
    let said: Vec<&str> = (scopes.iter())
        .map(|scope| match scope {
            Scope::Read => "look at everything",
            Scope::Restore => "put things back",
            Scope::Admin => "look after Backstock itself",
        })
        .collect();
    match said.as_slice() {
        [] => "May do nothing".into(),
        [one] => format!("May {one}"),
        [first @ .., last] => format!("May {} and {last}", first.join(", ")),
    }
}

fn tone(scope: Scope) -> Tone {
    match scope {
        Scope::Read => Tone::Plain,
        Scope::Restore => Tone::Notice,
        Scope::Admin => Tone::Warning,
    }
}

/// Which shops it opens, as far as whoever looks sees them.
fn where_to(room: &Room, token: &Token) -> String {
    let Shops::These(shops) = &token.shops else { return "every shop".into() };
    let sees = |shop| room.visit.token.as_ref().is_some_and(|token| token.shops.holds(shop));
    let names: Vec<&str> = shops.iter().filter(|shop| sees(shop)).map(|shop| shop.name()).collect();
    names.join(", ")
}
