//! The account that calls are made in: ARNs of what is named by it are made from it.

use crate::{aws, cx::Cx, error::Result};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Where ARNs of this account begin.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// `123456789012`.
    pub id: String,
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
}

#[derive(Default)]
struct Slot(OnceCell<Arc<Account>>);

impl Account {
    /// The ARN of the IAM object at `path`: `policy/gitpod`.
    pub fn arn(&self, path: &str) -> String {
        format!("arn:{}:iam::{}:{path}", self.partition, self.id)
    }
}

/// The account; asked for once a run.
pub async fn account(cx: &Cx) -> Result<Arc<Account>> {
    let slot = cx.run.clients.get_or_insert(Slot::default);
    slot.0.get_or_try_init(|| async { ask(cx).await.map(Arc::new) }).await.cloned()
}

async fn ask(cx: &Cx) -> Result<Account> {
    let who = aws::clients(cx).await?.sts().get_caller_identity().send().await?;
    Ok(Account {
        id: who.account().unwrap_or_default().to_owned(),
        partition: partition(who.arn().unwrap_or_default()),
    })
}

/// The partition in an ARN.
pub fn partition(arn: &str) -> String {
    arn.split(':').nth(1).filter(|partition| !partition.is_empty()).unwrap_or("aws").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_keep_their_partition() {
        let account = Account { id: "1".into(), partition: partition("arn:aws-cn:sts::1:user/x") };
        assert_eq!(account.arn("policy/p"), "arn:aws-cn:iam::1:policy/p");
        assert_eq!(partition(""), "aws");
    }
}
