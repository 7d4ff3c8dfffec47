//! Packets by hand through the real programs (`BPF_PROG_TEST_RUN`), with every loader.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    reason = "a test says by panicking that its subject is wrong"
)]

mod adoption;
mod attacks;
#[path = "../common/mod.rs"]
mod common;
mod cost;
mod differential;
mod flows;
mod gate;
mod histories;
mod icmp;
mod network;
mod node;
mod odd;
mod revocation;
mod room;
mod sight;
mod swap;
mod tables;
mod totals;

use std::process::ExitCode;

use common::random;
use porin_datapath::Loader;
use porin_testbed::suite::{Outcome, Test, run};

type Body = fn(Loader) -> Outcome;

const TESTS: &[(&str, Body)] = &[
    (
        "ac_10_priorities_have_one_order",
        attacks::priorities_have_one_order,
    ),
    (
        "ac_12_nothing_passes_before_ready",
        attacks::nothing_passes_before_ready,
    ),
    ("not_ready", gate::not_ready),
    ("forged_source", gate::forged_source),
    ("ac_22_mark_is_overwritten", gate::mark_is_overwritten),
    ("masquerade_is_no_disguise", gate::masquerade_is_no_disguise),
    (
        "a_local_identity_is_told_apart",
        gate::a_local_identity_is_told_apart,
    ),
    ("a_replacement_has_no_gap", gate::a_replacement_has_no_gap),
    (
        "a_link_local_address_is_the_host",
        gate::a_link_local_address_is_the_host,
    ),
    ("strange_specs_are_refused", gate::strange_specs_are_refused),
    ("ac_13_lease_ends", gate::lease_ends),
    (
        "answers_pass_and_openings_do_not",
        flows::answers_pass_and_openings_do_not,
    ),
    (
        "a_change_stops_and_frees_a_running_flow",
        flows::a_change_stops_and_frees_a_running_flow,
    ),
    (
        "an_equal_verdict_is_no_news",
        flows::an_equal_verdict_is_no_news,
    ),
    ("a_relabel_takes_hold", flows::a_relabel_takes_hold),
    (
        "a_successor_inherits_nothing",
        flows::a_successor_inherits_nothing,
    ),
    ("births_outrun_the_clock", flows::births_outrun_the_clock),
    (
        "successors_at_both_ends_inherit_nothing",
        flows::successors_at_both_ends_inherit_nothing,
    ),
    (
        "an_address_that_changes_hands",
        flows::an_address_that_changes_hands,
    ),
    (
        "two_thirds_of_the_flows_fit_without_a_loss",
        room::two_thirds_fit_without_a_loss,
    ),
    (
        "a_flood_spares_what_lives_longer",
        room::a_flood_spares_what_lives_longer,
    ),
    (
        "ac_21_a_full_table_opens_nothing",
        room::a_full_table_opens_nothing,
    ),
    ("families_stay_apart", flows::families_stay_apart),
    ("a_flow_ends", flows::a_flow_ends),
    ("silence_is_told_of", totals::silence_is_told_of),
    ("pressure_is_what_is_held", sight::pressure_is_what_is_held),
    ("dump_names_what_is_held", sight::dump_names_what_is_held),
    (
        "a_flow_ends_with_its_totals",
        totals::a_flow_ends_with_its_totals,
    ),
    (
        "a_flow_that_goes_on_is_reported",
        totals::a_flow_that_goes_on_is_reported,
    ),
    (
        "a_lost_entry_is_judged_again",
        flows::a_lost_entry_is_judged_again,
    ),
    ("ac_17_odd_headers", odd::headers),
    ("unknown_protocols", odd::unknown_protocols),
    ("short_transport_headers", odd::short_transport_headers),
    ("ac_17_fragments", odd::fragments),
    ("echoes", icmp::echoes),
    ("nobody_answers_himself", icmp::nobody_answers_himself),
    ("icmp_errors", icmp::errors),
    ("address_resolution", icmp::address_resolution),
    ("neighbour_discovery", icmp::neighbour_discovery),
    (
        "equal_policies_share_a_table",
        tables::equal_policies_share_a_table,
    ),
    (
        "ac_15_a_full_table_refuses_and_keeps",
        tables::a_full_table_refuses_and_keeps,
    ),
    ("policies_are_exchanged", tables::policies_are_exchanged),
    (
        "an_edit_takes_hold_in_place",
        tables::an_edit_takes_hold_in_place,
    ),
    (
        "a_table_of_others_is_not_edited",
        tables::a_table_of_others_is_not_edited,
    ),
    ("slots_are_used_again", tables::slots_are_used_again),
    (
        "swap_of_ten_thousand_entries_is_atomic",
        swap::of_ten_thousand_entries_is_atomic,
    ),
    ("losses_are_counted", tables::losses_are_counted),
    ("adoption", adoption::a_restart_has_no_gap),
    (
        "a_silent_flow_is_forgotten",
        adoption::a_silent_flow_is_forgotten,
    ),
    (
        "a_start_without_epochs_begins",
        adoption::a_start_without_epochs_begins,
    ),
    ("adoption_mends", adoption::what_was_cut_short_is_made_whole),
    ("adoption_refuses", adoption::another_version_is_refused),
    ("host_masquerade", network::masquerade),
    (
        "host_masquerade_opens_no_socket",
        network::masquerade_opens_no_socket,
    ),
    ("host_whose_matter", network::whose_matter),
    ("host_link_matters", network::link_matters),
    ("host_flows", network::host_flows),
    ("differential", differential::kernel_and_map_state_agree),
    ("differential_histories", histories::kernel_and_model_agree),
    (
        "ac_13_revocation",
        revocation::what_is_not_allowed_now_does_not_pass,
    ),
    ("established_cost", cost::established),
    ("dropped_and_new_cost", cost::dropped_and_new),
];

fn main() -> ExitCode {
    let loaders = Loader::available().iter();
    let tests = loaders.flat_map(|loader| {
        TESTS.iter().map(move |(name, body)| {
            Test::new(&format!("kernel_{name}_{loader}"), move || body(*loader))
        })
    });
    run(tests.collect())
}
