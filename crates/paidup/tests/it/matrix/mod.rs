//! The store matrices of RevenueCat's pages, cell by cell: what a store tells goes in over HTTP, and what came out is read
//! at the receiver's end. A test is named after its cell: column, table, row (`app_store::discord::renewal`); a cell that
//! the page leaves empty is a test too (`promo::webhook::renewal_is_never_told`).
//!
//! Each column has its file with its stories; a row's story is the shortest life that has the row's event, and *all* that
//! the outlet got of it is compared. How events become messages is tested without HTTP in `lifecycle`.
//! <https://www.revenuecat.com/docs/integrations/webhooks/event-types-and-fields>

mod amazon;
mod app_store;
mod discord;
mod hub_made;
mod play;
mod promo;
mod stripe;
mod world;

/// Writes the tests of one table of a column: `cell: story, CANONICAL_EVENT => messages;`. The canonical event is the one
/// that the row is about: it must have happened, so that an empty cell is empty because of the matrix.
macro_rules! cells {
    ($outlet:expr, $play:path; $($cell:ident: $story:expr, $event:literal => $told:expr;)+) => {
        $(
            #[tokio::test]
            async fn $cell() {
                let world = $crate::matrix::world::World::new($outlet).await;
                $play(&world, $story).await;
                world.ends_with($crate::matrix::world::Expected { column: super::COLUMN, event: $event, told: &$told }).await;
            }
        )+
    };
}
use cells;
