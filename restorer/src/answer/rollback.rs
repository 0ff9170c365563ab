//! The way back from what somebody did.

use async_trait::async_trait;
use backstock_proto::Shop;

use super::job;
use crate::Desk;
use crate::change_set::{ChangeSet, Undone};
use crate::guard::watch::WayBack;
use crate::plan::gather::Scope;
use crate::plan::{Modes, Request};

#[async_trait]
impl WayBack for Desk {
    async fn plan(
        &self,
        shop: &Shop,
        set: &ChangeSet,
        undone: &[Undone],
    ) -> Result<String, String> {
        let modes = Modes { delete_new: true, ..Modes::default() };
        let change_set = Some(set.id.to_string());
        let request = Request { change_set, modes, ..Request::default() };
        let scope = Scope::Versions(undone.to_vec());
        let plan = self.plan_of(shop, request, &scope, "guard".into()).await;
        plan.map(|plan| plan.id).map_err(|error| error.to_string())
    }

    async fn apply(&self, shop: &Shop, plan: &str) -> Result<String, String> {
        job::begin_for_guard(self, shop, plan).await.map_err(|problem| problem.detail)
    }
}
