//! The way back from what somebody did.

use async_trait::async_trait;
use backstock_proto::Shop;

use crate::Desk;
use crate::change_set::{ChangeSet, Undone};
use crate::guard::watch::WayBack;

#[async_trait]
impl WayBack for Desk {
    async fn plan(&self, _: &Shop, _: &ChangeSet, _: &[Undone]) -> Result<String, String> {
        Err("plans cannot be made yet".into())
    }

    async fn apply(&self, _: &Shop, _: &str) -> Result<String, String> {
        Err("jobs cannot be begun yet".into())
    }
}
