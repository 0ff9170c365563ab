//! Having the shop looked at, or proved restorable, now instead of in the night.

use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::problem::Problem;
use maud::{Markup, html};
use serde_json::Value;

use super::form::Form;
use super::room::Room;
use super::shell;
use crate::token::Scope;

/// The buttons, for whoever looks after Backstock itself.
pub(super) fn buttons(room: &Room) -> Markup {
    html! {
        @if room.may(Scope::Admin) {
            div.actions {
                @if room.is_reached() { (button(room, "look", "Compare with the shop now")) }
                (button(room, "prove", "Prove it restorable now"))
                span.quiet.small { "What comes of it shows here; reload the page after a while." }
            }
        }
    }
}

fn button(room: &Room, what: &str, name: &str) -> Markup {
    html! {
        form method="post" action={ (room.path()) "/" (what) } {
            (shell::sealed(room))
            button.button type="submit" { (name) }
        }
    }
}

/// Has history compared with all of the shop.
pub(crate) async fn look(room: Room, _form: Form) -> Result<Response, Problem> {
    ordered(&room, "reconcile").await
}

/// Has it proved that the shop could be restored.
pub(crate) async fn prove(room: Room, _form: Form) -> Result<Response, Problem> {
    ordered(&room, "proofs").await
}

/// What comes of it shows on the overview.
async fn ordered(room: &Room, what: &str) -> Result<Response, Problem> {
    let _: Value = room.post(what, None).await?;
    Ok(Redirect::to(&room.path()).into_response())
}
