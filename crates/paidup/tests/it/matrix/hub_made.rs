//! What the hub itself makes happen, on every store alike: a purchase that another customer claims, and access while a
//! store cannot say whether what was claimed is a purchase. The other cells of these columns are in the stores' own files.

use super::world::{Column, FROM, World};
use crate::support::{observation, start};
use serde_json::{Value, json};

/// What happens.
#[derive(Clone, Copy)]
enum Story {
    /// A purchase of the column's store is claimed by a second customer.
    ClaimedByAnother(&'static str),
    /// A customer claims what the source of this type and settings cannot ask about.
    Unconfirmed(&'static str, fn() -> (Value, Value)),
    /// The same, and its hours pass.
    NeverConfirmed(&'static str, fn() -> (Value, Value)),
}
use Story::{ClaimedByAnother, NeverConfirmed, Unconfirmed};

async fn play(world: &World, story: Story) {
    let claim = async |customer: &str, body: Value| {
        world.hub.api("POST", &format!("/v1/customers/{customer}/purchases"), body).await
    };
    match story {
        ClaimedByAnother(store) => {
            let source = world.hub.source("generic", json!({})).await;
            let mut bought = start("n1", "user-1", "sub-1", FROM, "2026-02-01T00:00:00Z");
            bought["store"] = json!(store);
            world.hub.observe(&source, bought).await;
            claim("user-2", json!({"source_id": source, "subscription_id": "sub-1"})).await.expect(200);
            // Nothing else of it is told.
            let same =
                observation("n2", "2026-01-02T00:00:00Z", "renewal_enabled", "sub-1", json!({"will_renew": true}));
            world.hub.observe(&source, same).await;
        }
        Unconfirmed(kind, about) | NeverConfirmed(kind, about) => {
            let (config, mut proof) = about();
            proof["source_id"] = json!(world.hub.source(kind, config).await);
            proof["product_id"] = json!("pro_monthly");
            let waits = claim("user-1", proof).await.expect(202);
            assert_eq!(waits["active"], json!(["pro"]), "{waits}");
            if let NeverConfirmed(..) = story {
                let hours = std::time::Duration::from_secs(25 * 3600);
                world.pass_until(world.now().plus(hours)).await;
                world.until("DEACTIVATE").await;
            }
        }
    }
}

fn of_play() -> (Value, Value) {
    let config = json!({"package_name": "com.example.app", "audience": "https://hub.example/ingest",
        "service_account_email": "push@example.iam.gserviceaccount.com"});
    (config, json!({"purchase_token": "aaaabbbbccccddddeeeeffff.AO-J1Oz"}))
}

fn of_amazon() -> (Value, Value) {
    let config = json!({"topic_arn": "arn:aws:sns:us-east-1:123456789012:MyTopic"});
    (
        config,
        json!({"receipt_id": "q1YqVrJSSq7P1UvMTazKz9PLTCwoTswtyEktM9JLrShIzCvOzM", "user_id": "LRyD0FfW_3zeOlfJyxpVll-Z1rKn6dSf9xD3mUMSFg0"}),
    )
}

fn of_stripe() -> (Value, Value) {
    (json!({"signing_secret": "whsec_test"}), json!({"subscription_id": "sub_1"}))
}

/// The three cells of a column.
macro_rules! column {
    ($module:ident, $store:literal, $kind:literal, $about:path) => {
        mod $module {
            use super::*;

            const COLUMN: Column = Column { store: $store, products: "" };

            mod webhook {
                use super::*;
                use crate::matrix::{cells, world::Outlet};

                cells! { Outlet::Webhook, play;
                    transfer_of_what_another_claims: ClaimedByAnother($store), "SUBSCRIPTION_RECEIVED" =>
                        ["INITIAL_PURCHASE", "TRANSFER"];
                    temporary_entitlement_grant: Unconfirmed($kind, $about), "TEMPORARY_ENTITLEMENT_GRANTED" =>
                        ["TEMPORARY_ENTITLEMENT_GRANT"];
                    temporary_entitlement_grant_that_is_never_confirmed: NeverConfirmed($kind, $about),
                        "TEMPORARY_ENTITLEMENT_GRANTED" => ["TEMPORARY_ENTITLEMENT_GRANT", "EXPIRATION/UNKNOWN"];
                }
            }
        }
    };
}

column!(play_store, "PLAY_STORE", "play", of_play);
column!(amazon, "AMAZON", "amazon", of_amazon);
column!(stripe, "STRIPE", "stripe", of_stripe);
