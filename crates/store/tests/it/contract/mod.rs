//! What every store must do.

mod deliveries;
mod issuing;
mod records;

/// One test for each case, against a fresh store of the backend.
macro_rules! suite {
    ($module:ident, $backend:ty; $($group:ident :: $case:ident),+ $(,)?) => {
        mod $module {
            use crate::backend::Backend;

            $(
                #[tokio::test]
                async fn $case() {
                    super::$group::$case(<$backend>::fresh().await).await;
                }
            )+
        }
    };
}

macro_rules! every_case {
    ($module:ident, $backend:ty) => {
        suite! {
            $module, $backend;
            deliveries::a_bundle_is_there_until_it_is_forgotten,
            deliveries::a_bundle_keeps_what_was_served_out_of_it_beside_what_it_holds,
            deliveries::a_deployment_is_there_until_it_is_forgotten,
            deliveries::every_state_of_a_deployment_is_kept,
            deliveries::what_names_an_unknown_version_is_refused,
            issuing::a_begun_version_is_pending_and_keeps_its_key,
            issuing::only_an_issued_version_is_revoked,
            issuing::a_key_that_a_load_balancer_holds_is_not_here_and_its_csr_is,
            issuing::a_second_pending_version_is_refused,
            issuing::a_version_that_is_taken_over_is_current_at_once,
            issuing::an_abandoned_version_is_out_of_the_record,
            issuing::an_issued_version_is_current_and_clears_failure_and_window,
            issuing::an_unknown_version_is_not_found,
            issuing::every_spec_and_leaf_is_kept,
            issuing::only_the_current_and_the_previous_key_are_kept,
            issuing::only_a_pending_version_moves_on,
            issuing::the_key_of_what_was_last_served_is_kept_however_many_are_issued,
            issuing::the_window_of_the_current_version_is_recorded,
            records::a_challenge_is_open_until_it_is_closed,
            records::a_fresh_store_is_empty,
            records::an_account_belongs_to_issuer_and_directory,
            records::any_text_is_kept_as_it_is,
            records::one_lease_at_a_time,
            records::the_history_is_read_newest_first,
            records::the_last_failure_counts,
            records::warning_days_are_kept_until_there_are_none,
            records::one_warning_for_each_version_and_threshold,
            records::what_was_written_is_there_for_the_next_process,
        }
    };
}

every_case!(model, crate::model::Model);
every_case!(sqlite, crate::backend::SqliteFolder);
