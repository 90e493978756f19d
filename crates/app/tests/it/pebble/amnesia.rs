//! A CA that was set up anew: it has forgotten the account, and issues from other roots.

use super::{ISSUED, count, issuer, pebble, served_from};
use crate::parts::openssl;
use crate::stage::{SERVER_NAME, Stage};

/// What Pebble prints when an account is made.
const ACCOUNT_MADE: &str = "accounts in memory";

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_account_is_an_error_and_never_silently_a_new_account() {
    let stage = Stage::new().await;
    let mut pebble = pebble(&stage, |_| {}).await;
    stage.configure(&issuer(&pebble), &stage.www());
    stage.apply().await;
    assert_eq!(count(&pebble, ACCOUNT_MADE), 1, "{}", pebble.log());
    let served = served_from(&pebble, &stage).await;

    pebble.restart().await;
    for _ in 0..2 {
        let failed = stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(3);
        let said = failed.stderr();
        assert!(said.contains("the CA does not know the account"), "{said}");
        assert!(said.contains("give the issuer another name in the config"), "{said}");
        assert!(said.contains("issuer `ca`"), "{said}");
    }
    assert_eq!(count(&pebble, ACCOUNT_MADE), 0, "an account was made: {}", pebble.log());
    let still = openssl::served(stage.address(443), SERVER_NAME).await;
    assert_eq!(still, Ok(served), "what is served is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_for_the_issuer_starts_a_new_account_as_the_error_says() {
    let stage = Stage::new().await;
    let mut pebble = pebble(&stage, |_| {}).await;
    stage.configure(&issuer(&pebble), &stage.www());
    stage.apply().await;
    pebble.restart().await;
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(3);

    let config = std::fs::read_to_string(stage.config_path()).expect("the config is there");
    std::fs::write(stage.config_path(), config.replace("\n  ca:\n", "\n  ca-again:\n")).expect("write the config");
    stage.apply().await;
    assert_eq!(count(&pebble, ACCOUNT_MADE), 1);
    assert_eq!(count(&pebble, ISSUED), 1);
    served_from(&pebble, &stage).await;
    let again = stage.apply().await;
    assert!(again.stdout().contains("nothing to do"), "{}", again.stdout());
}
