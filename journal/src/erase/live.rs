//! What comes in about somebody who was erased: a late webhook, a repetition, a pull that began
//! before. None of it reaches the store as it came, and it is taken off the stream.

use std::sync::Arc;

use backstock_proto::canonical::Hash;
use backstock_proto::erase::{
    CUSTOMER_REDACT, ERASED_MESSAGES, ERASURE, Erased, Messages, SHOP_REDACT, Whom, Wish, sweep,
};
use backstock_proto::journal::Numbers;
use backstock_proto::kind::Arrival;
use backstock_proto::stream::parse_event_subject;
use backstock_proto::{Event, Op, Shop};
use serde_json::Value;

use super::OnRecord;
use super::case::Stage;
use crate::append::Draft;
use crate::decode::{Meaning, Message, Told};
use crate::ops::Note;
use crate::store::StoreError;

const CUSTOMER: &str = "customer";

impl Draft<'_> {
    /// What is left of an event; `None` if it speaks of nobody who was erased. Opens the erasure that
    /// a webhook asks for.
    pub(crate) fn left_of(&mut self, new: &Meaning) -> Result<Option<Meaning>, StoreError> {
        // It was taken out before, and is taken in once more.
        if new.erased {
            return Ok(None);
        }
        let Event { key, payload, received_at, .. } = &new.event;
        if matches!(key.kind.as_str(), CUSTOMER_REDACT | SHOP_REDACT) {
            match Wish::of_webhook(&key.shop, &key.kind, payload, *received_at) {
                Some(wish) => self.wish(&key.shop, wish, new.position.seq)?,
                None => tracing::error!(
                    shop = %key.shop,
                    "a webhook asks for an erasure and does not say whose, or speaks of another \
                     shop; nothing is erased"
                ),
            }
            return Ok(Some(self.blanked(new, &Erased::default())));
        }
        let Some(erased) = self.erased_of(&key.shop) else { return Ok(None) };
        if erased.left(&key.kind, &key.id, payload).is_none() {
            return Ok(None);
        }
        if !erased.has(&key.kind, &key.id) {
            self.store.put_erased(&mut self.batch, key, "");
            self.newly_erased.push(key.clone());
        }
        Ok(Some(self.blanked(new, &erased)))
    }

    /// What was erased in a shop, with what this batch adds to it.
    fn erased_of(&self, shop: &Shop) -> Option<Arc<Erased>> {
        let mut erased = self.store.erased_of(shop)?;
        for key in self.newly_erased.iter().filter(|key| key.shop == *shop) {
            Arc::make_mut(&mut erased).add(key.kind.clone(), key.id.clone());
        }
        Some(erased)
    }

    fn blanked(&mut self, new: &Meaning, erased: &Erased) -> Meaning {
        let Event { key, source, facet, op, .. } = &new.event;
        self.unsay(&key.shop, new.position.seq);
        let value: Value = serde_json::from_slice(&new.event.payload).unwrap_or_default();
        let payload = erased.blanked(&key.kind, value).to_string().into_bytes();
        let arrival = Arrival { source: *source, facet: *facet, op: *op };
        let read = key.kind.read(arrival, &key.id, &payload).ok();
        let hash = read.as_ref().filter(|_| *op != Op::Delete).map(|read| read.hash());
        Meaning {
            hash: hash.unwrap_or(Hash::NONE),
            mapping: new.mapping,
            position: new.position,
            listing: read.map(|read| read.listing).unwrap_or_default(),
            erased: true,
            told: Told::InPart,
            event: Event { payload: payload.into(), ..new.event.clone() },
        }
    }

    /// What is left of a record; `None` if it speaks of nobody who was erased. Opens the erasure that
    /// it asks for.
    pub(crate) fn left_of_note(
        &mut self,
        note: &Note,
        seq: u64,
    ) -> Result<Option<Note>, StoreError> {
        match note.what.as_str() {
            ERASURE => {
                match serde_json::from_slice::<OnRecord>(&note.payload) {
                    Ok(OnRecord { wish, upto }) => {
                        self.wish(&note.shop, wish, upto.unwrap_or(seq))?;
                    }
                    Err(error) => tracing::error!(
                        shop = %note.shop, %error,
                        "the record of an erasure cannot be read"
                    ),
                }
                return Ok(None);
            }
            ERASED_MESSAGES => {
                if let Ok(messages) = serde_json::from_slice::<Messages>(&note.payload) {
                    self.store.explain(messages.ranges);
                }
                return Ok(None);
            }
            _ => {}
        }
        let Some(erased) = self.erased_of(&note.shop) else { return Ok(None) };
        let mut payload: Value = serde_json::from_slice(&note.payload).unwrap_or_default();
        if !sweep(&mut payload, &erased, &Default::default()) {
            return Ok(None);
        }
        self.unsay(&note.shop, seq);
        Ok(Some(Note { payload: payload.to_string().into_bytes().into(), ..note.clone() }))
    }

    /// What is left of a message that makes no sense and is about somebody who was erased, or names them.
    pub(crate) fn left_of_poison(&mut self, message: &Message) -> Option<Message> {
        let key = parse_event_subject(&message.subject)?;
        let asks = matches!(key.kind.as_str(), CUSTOMER_REDACT);
        let speaks = self.erased_of(&key.shop).is_some_and(|erased| {
            let customers = erased.resources().filter(|(kind, _)| kind.as_str() == CUSTOMER);
            let customers = customers.filter_map(|(_, id)| id.as_str().parse::<u64>().ok());
            let customers = Numbers::from(customers.collect::<Vec<_>>());
            erased.has(&key.kind, &key.id) || customers.any_in(&message.payload)
        });
        if !(asks || speaks) {
            return None;
        }
        self.unsay(&key.shop, message.seq);
        Some(Message { payload: Default::default(), ..message.clone() })
    }

    /// Whether a message is of a shop that was erased with all that came up to a later one: a journal that
    /// was brought back from before reads it once more. It is taken off the stream.
    pub(crate) fn went_with_its_shop(&mut self, shop: &Shop, seq: u64) -> Result<bool, StoreError> {
        let upto = match self.gone.get(shop) {
            Some(upto) => *upto,
            None => {
                let case = self.store.case(shop, &Whom::Shop)?;
                let case = case.filter(|case| case.stage != Stage::Waiting);
                let upto = case.map_or(0, |case| case.upto);
                self.gone.insert(shop.clone(), upto);
                upto
            }
        };
        let went = seq <= upto;
        if went {
            self.unsay(shop, seq);
        }
        Ok(went)
    }

    fn wish(&mut self, shop: &Shop, wish: Wish, upto: u64) -> Result<(), StoreError> {
        let of = (shop.clone(), wish.whom.name());
        let case = match self.cases.remove(&of) {
            Some(mut case) => {
                case.asked_again(wish, upto);
                case
            }
            None => self.store.case_of(shop, wish, upto)?,
        };
        if case.stage == Stage::Waiting {
            tracing::error!(
                %shop,
                "everything of this shop is to be erased, and nobody has confirmed it: it is done \
                 once the shop no longer accepts our access, or after `backstock erase --shop {}`",
                shop.name()
            );
        }
        self.store.put_case(&mut self.batch, &case);
        self.cases.insert(of, case);
        self.erases = true;
        Ok(())
    }

    fn unsay(&mut self, shop: &Shop, seq: u64) {
        self.store.put_unsaid(&mut self.batch, shop, seq);
        self.erases = true;
    }
}
