//! The way back from what somebody did.

use async_trait::async_trait;
use backstock_proto::Shop;

use super::job;
use crate::Desk;
use crate::change_set::{ChangeSet, Undone};
use crate::guard::watch::WayBack;

#[async_trait]
impl WayBack for Desk {
    async fn plan(&self, _: &Shop, _: &ChangeSet, _: &[Undone]) -> Result<String, String> {
        Err("plans cannot be made yet".into())
    }

    async fn apply(&self, shop: &Shop, plan: &str) -> Result<String, String> {
        job::begin_for_guard(self, shop, plan).await.map_err(|problem| problem.detail)
    }
}
