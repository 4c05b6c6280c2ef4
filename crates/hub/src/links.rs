//! Links: a customer's other ids, and whose a purchase is.

use crate::commit::command::Command;
use crate::grants::check_name;
use crate::{Hub, HubError};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::{PurchaseId, SourceId};
use paidup_lifecycle::observation::{Environment, PurchaseKey};
use paidup_lifecycle::purchase::Purchase;
use paidup_store::Urgency;

/// Most purchases of a customer who is merged into another one: they move in one transaction.
const MAX_MOVED: usize = 1_000;

impl Hub {
    /// Gives a customer another id. When it is another customer's, that one is merged into this one: its purchases move,
    /// which both sides are told. Answers the customer who stays.
    pub async fn add_alias(&self, customer: &str, alias: &str) -> Result<Customer, HubError> {
        check_name("customer", customer)?;
        check_name("alias", alias)?;
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

    /// Gives a purchase that a source has told of to a customer, who is made if unknown. A purchase that nobody claimed
    /// takes the customer for its owner; one that is somebody else's moves, which both sides are told.
    pub async fn bind_purchase(
        &self,
        source_id: SourceId,
        environment: Environment,
        store_purchase_id: &str,
        customer: &str,
    ) -> Result<Purchase, HubError> {
        check_name("customer", customer)?;
        let key = PurchaseKey { source_id, environment, store_purchase_id: store_purchase_id.to_owned() };
        let purchase = Purchase::id_of(&key);
        self.commit(Urgency::Rest, Command::Bind { purchase, customer: customer.to_owned() }, Vec::new()).await?;
        let bound = self.store().purchase(purchase).await?;
        bound.ok_or_else(|| HubError::refused(404, "", "there is no such purchase"))
    }
}
