//! Links: a customer's other ids, and whose a purchase is.

use crate::commit::command::Command;
use crate::grants::check_customer;
use crate::{Hub, HubError};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::{CustomerId, PurchaseId, SourceId};
use paidup_lifecycle::observation::{Environment, PurchaseKey};
use paidup_lifecycle::purchase::Purchase;
use paidup_store::Urgency;

/// Most purchases of a customer who is merged into another one: they move in one transaction.
const MAX_MOVED: usize = 1_000;

/// Purchases that an operator moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Who had them.
    pub from: CustomerId,
    /// Who has them now.
    pub to: CustomerId,
    /// Which.
    pub purchases: Vec<PurchaseId>,
}

impl Hub {
    /// Gives a customer another id. When it is another customer's, that one is merged into this one: its purchases move,
    /// which both sides are told. Answers the customer who stays.
    pub async fn add_alias(&self, customer: &str, alias: &str) -> Result<Customer, HubError> {
        check_customer("customer", customer)?;
        check_customer("alias", alias)?;
        if self.store().customer(customer).await?.is_none() {
            return Err(HubError::refused(404, "", "there is no such customer"));
        }
        let purchases: Vec<PurchaseId> = match self.store().customer(alias).await? {
            Some(other) => {
                let moved = self.store().purchases_of(other.id, MAX_MOVED + 1).await?;
                if moved.len() > MAX_MOVED {
                    return Err(HubError::refused(409, "/alias", "the other customer has too many purchases to merge"));
                }
                moved.iter().map(|purchase| purchase.id).collect()
            }
            None => Vec::new(),
        };
        let command = Command::Link { customer: customer.to_owned(), alias: alias.to_owned(), purchases };
        self.commit(Urgency::Rest, command, Vec::new()).await?;
        let stays = self.store().customer(customer).await?;
        stays.ok_or_else(|| HubError::refused(404, "", "there is no such customer"))
    }

    /// Gives purchases of one customer to another, whom it makes if unknown; `None`: all of them. Both are told.
    pub async fn transfer_purchases(
        &self,
        customer: &str,
        to: &str,
        purchases: Option<Vec<PurchaseId>>,
    ) -> Result<Moved, HubError> {
        check_customer("to", to)?;
        let missing = || HubError::refused(404, "", "there is no such customer");
        let from = self.store().customer(customer).await?.ok_or_else(missing)?.id;
        let purchases = match purchases {
            Some(named) => named,
            None => {
                let all = self.store().purchases_of(from, MAX_MOVED + 1).await?;
                all.iter().map(|purchase| purchase.id).collect()
            }
        };
        if purchases.len() > MAX_MOVED {
            return Err(HubError::refused(409, "/purchases", "too many purchases at once; name up to 1000"));
        }
        let command =
            Command::Transfer { customer: customer.to_owned(), to: to.to_owned(), purchases: purchases.clone() };
        self.commit(Urgency::Rest, command, Vec::new()).await?;
        let to = self.store().customer(to).await?.ok_or_else(missing)?.id;
        let purchases = if to == from { Vec::new() } else { purchases };
        Ok(Moved { from, to, purchases })
    }

    /// Gives a purchase that a source has told of to a customer, who is made if unknown. A purchase that nobody claimed
    /// takes the customer for its owner; one that is somebody else's moves, which both sides are told.
    pub async fn bind_purchase(
        &self,
        source_id: SourceId,
        environment: Environment,
        store_purchase_id: &str,
        customer: &str,
    ) -> Result<Purchase, HubError> {
        check_customer("customer", customer)?;
        let key = PurchaseKey { source_id, environment, store_purchase_id: store_purchase_id.to_owned() };
        let purchase = Purchase::id_of(&key);
        self.commit(Urgency::Rest, Command::Bind { purchase, customer: customer.to_owned() }, Vec::new()).await?;
        let bound = self.store().purchase(purchase).await?;
        bound.ok_or_else(|| HubError::refused(404, "", "there is no such purchase"))
    }
}
