//! Prices that are not the regular one: how Apple names them, and what a hub tells of them.

/// A price that is not the regular one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::app_store::lives) enum Offer {
    /// A free week.
    Trial,
    /// The first period at half price.
    Intro,
    /// A code for the first period.
    Code,
    /// Half price for a customer who left.
    WinBack,
}

impl Offer {
    pub(super) const fn wire(self) -> (u8, Option<&'static str>, &'static str) {
        match self {
            Offer::Trial => (1, None, "FREE_TRIAL"),
            Offer::Intro => (1, None, "PAY_UP_FRONT"),
            Offer::Code => (3, Some("spring_code"), "PAY_UP_FRONT"),
            Offer::WinBack => (4, Some("come_back"), "PAY_UP_FRONT"),
        }
    }

    pub(super) const fn events(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Offer::Trial => ("TRIAL_STARTED", "TRIAL_CONVERTED", "TRIAL_NOT_CONVERTED"),
            Offer::Intro => ("INTRO_OFFER_STARTED", "INTRO_OFFER_CONVERTED", "INTRO_OFFER_NOT_CONVERTED"),
            Offer::Code => ("PROMO_CODE_STARTED", "PROMO_CODE_CONVERTED", "PROMO_CODE_NOT_CONVERTED"),
            Offer::WinBack => {
                ("PROMOTIONAL_OFFER_STARTED", "PROMOTIONAL_OFFER_CONVERTED", "PROMOTIONAL_OFFER_NOT_CONVERTED")
            }
        }
    }

    /// What is paid, of the regular cents.
    pub(super) const fn cents(self, regular: i64) -> i64 {
        match self {
            Offer::Trial => 0,
            Offer::Intro | Offer::Code | Offer::WinBack => regular / 2,
        }
    }
}
