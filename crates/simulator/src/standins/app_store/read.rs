//! What each path of the App Store Server API answers, from the account as it stands.

use super::answer::{self, Answer};
use super::query::Query;
use crate::stores::app_store::account::{Account, Chain};
use crate::stores::app_store::wire::{Renewal, Reread, Transaction};
use crate::stores::app_store::{AppStore, SignError};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Transactions on a page.
const PAGE: usize = 20;

/// The store, what it knows, and when it is asked.
pub(super) struct Desk<'a> {
    pub(super) store: &'a AppStore,
    pub(super) account: &'a Account,
    pub(super) now: i64,
}

impl Desk<'_> {
    /// "Get All Subscription Statuses".
    pub(super) fn statuses(&self, id: &str, query: &Query) -> Answer {
        let Some(wanted) = query.all("status").map(|text| text.parse::<u8>().ok()).collect::<Option<Vec<_>>>() else {
            return answer::INVALID_STATUS;
        };
        if wanted.iter().any(|status| !(1..=5).contains(status)) {
            return answer::INVALID_STATUS;
        }
        let chains = match self.chains(id) {
            Ok(chains) => chains,
            Err(refusal) => return refusal,
        };
        let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for chain in chains {
            let (Some(transaction), Some(renewal), Some(status)) = (chain.current(), &chain.renewal, chain.status)
            else {
                continue;
            };
            let is_wanted = wanted.is_empty() || wanted.contains(&status);
            let Some(group) = transaction.subscription_group_identifier.filter(|_| is_wanted) else { continue };
            match self.last_transaction(transaction, renewal, status) {
                Ok(row) => groups.entry(group).or_default().push(row),
                Err(_) => return answer::INTERNAL,
            }
        }
        let row = |(group, rows)| json!({"subscriptionGroupIdentifier": group, "lastTransactions": rows});
        let data: Vec<Value> = groups.into_iter().map(row).collect();
        Answer::Json(self.with_app(json!({"data": data})))
    }

    fn last_transaction(&self, transaction: &Transaction, renewal: &Renewal, status: u8) -> Result<Value, SignError> {
        let signed_date = self.now.max(renewal.signed_date);
        let renewal = Renewal { signed_date, ..renewal.clone() };
        Ok(json!({
            "originalTransactionId": &*transaction.original_transaction_id,
            "status": status,
            "signedTransactionInfo": self.signed(transaction)?,
            "signedRenewalInfo": self.store.sign(&renewal)?,
        }))
    }

    /// "Get Transaction Info".
    pub(super) fn transaction(&self, id: &str) -> Answer {
        if !is_id(id) {
            return answer::INVALID_TRANSACTION;
        }
        match self.account.transaction(id).map(|transaction| self.signed(transaction)) {
            Some(Ok(signed)) => Answer::Json(json!({"signedTransactionInfo": signed})),
            Some(Err(_)) => answer::INTERNAL,
            None => answer::NO_TRANSACTION,
        }
    }

    /// "Get Transaction History", version 2.
    pub(super) fn transactions(&self, id: &str, query: &Query) -> Answer {
        let known = [
            "revision",
            "startDate",
            "endDate",
            "productId",
            "productType",
            "sort",
            "subscriptionGroupIdentifier",
            "inAppOwnershipType",
            "revoked",
        ];
        if query.unknown(&known).is_some() {
            return answer::BAD_REQUEST;
        }
        let is_descending = match query.one("sort") {
            None | Some("ASCENDING") => false,
            Some("DESCENDING") => true,
            Some(_) => return answer::INVALID_SORT,
        };
        let date = |name: &str| query.one(name).map(str::parse::<i64>).transpose();
        let (Ok(from), Ok(to)) = (date("startDate"), date("endDate")) else { return answer::INVALID_START };
        let kinds: Vec<&str> = query.all("productType").collect();
        let products: Vec<&str> = query.all("productId").collect();
        let is_wanted = |one: &&Transaction| {
            from.is_none_or(|from| one.purchase_date >= from)
                && to.is_none_or(|to| one.purchase_date < to)
                && (products.is_empty() || products.contains(&one.product_id))
                && (kinds.is_empty() || kinds.iter().any(|kind| is_kind(one, kind)))
                && query
                    .one("subscriptionGroupIdentifier")
                    .is_none_or(|it| one.subscription_group_identifier == Some(it))
                && query.one("inAppOwnershipType").is_none_or(|it| one.in_app_ownership_type == it)
                && query.one("revoked").is_none_or(|it| (it == "true") == one.revocation_date.is_some())
        };
        let mut rows = match self.chains(id) {
            Ok(chains) => {
                chains.into_iter().flat_map(|chain| &chain.transactions).filter(is_wanted).collect::<Vec<_>>()
            }
            Err(refusal) => return refusal,
        };
        rows.sort_by_key(|one| (one.purchase_date, one.transaction_id.clone()));
        if is_descending {
            rows.reverse();
        }
        self.page(&rows, query).map_or_else(|refusal| refusal, |page| Answer::Json(self.with_app(page)))
    }

    /// "Get Refund History", version 2.
    pub(super) fn refunds(&self, id: &str, query: &Query) -> Answer {
        let mut rows = match self.chains(id) {
            Ok(chains) => chains.into_iter().flat_map(|chain| &chain.transactions).collect::<Vec<_>>(),
            Err(refusal) => return refusal,
        };
        rows.retain(|one| one.revocation_date.is_some() && one.revocation_type != Some("FAMILY_REVOKE"));
        rows.sort_by_key(|one| one.revocation_date);
        self.page(&rows, query).map_or_else(|refusal| refusal, Answer::Json)
    }

    /// A page after the `revision`, which is the number of rows before it.
    fn page(&self, rows: &[&Transaction], query: &Query) -> Result<Value, Answer> {
        let start = match query.one("revision").map(|text| text.strip_prefix("rev_").and_then(|n| n.parse().ok())) {
            None => 0,
            Some(Some(start)) if start <= rows.len() => start,
            Some(_) => return Err(answer::INVALID_REVISION),
        };
        let end = rows.len().min(start + PAGE);
        let signed = rows[start..end].iter().map(|one| self.signed(one)).collect::<Result<Vec<_>, _>>();
        let signed = signed.map_err(|_| answer::INTERNAL)?;
        Ok(json!({"revision": format!("rev_{end}"), "hasMore": end < rows.len(), "signedTransactions": signed}))
    }

    /// Every answer is signed when it is given.
    fn signed(&self, transaction: &Transaction) -> Result<String, SignError> {
        let signed_date = self.now.max(transaction.signed_date);
        let is_upgraded = self.account.is_upgraded(&transaction.transaction_id).then_some(true);
        self.store.sign(&Reread { transaction: Transaction { signed_date, ..transaction.clone() }, is_upgraded })
    }

    fn chains(&self, id: &str) -> Result<Vec<&Chain>, Answer> {
        if !is_id(id) {
            return Err(answer::INVALID_TRANSACTION);
        }
        self.account.of_customer(id).ok_or(answer::NO_TRANSACTION)
    }

    fn with_app(&self, mut body: Value) -> Value {
        let app = self.store.app();
        body["environment"] = app.environment.into();
        body["bundleId"] = (*app.bundle_id).into();
        body["appAppleId"] = app.app_apple_id.into();
        body
    }
}

/// Digits.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 24 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_kind(one: &Transaction, kind: &str) -> bool {
    match kind {
        "AUTO_RENEWABLE" => one.kind == "Auto-Renewable Subscription",
        "NON_CONSUMABLE" => one.kind == "Non-Consumable",
        "CONSUMABLE" => one.kind == "Consumable",
        _ => false,
    }
}
